"""`mgpt sample RECIPE`: pictures and texts from a trained model, into OUTPUT/samples.

Prompts are the recipe's [sample], or what the command line gives in their place. What is finished is not done again; a run that was
stopped goes on. See docs/sampling.md for the forms of prompts and for each file that is written.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.lm.options import AUTO_SIZE
from jobs.recipe import Recipe
from jobs.sampling.actors import answer_on_ray
from jobs.sampling.engine import Answer, EngineSpec, Job, engine_spec
from jobs.sampling.plan import Asked, check_lengths, fingerprint, identity, plan_requests, read_pixels
from jobs.sampling.prompts import Prompt, plain_prompts, read_conversations, read_prompts
from jobs.sampling.store import SAMPLES_FOLDER, Store
from jobs.train import train_folder
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.merge import Identity
from tokenizer.text import TextTokenizer

HANDS = 8  # batches that are handed to a model at once: their pictures' pixels are in memory


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", action="append", default=[], metavar="TEXT", help="a caption; may be given several times")
    parser.add_argument("--prompts", default="", metavar="FILE", help="a .txt with a prompt a line, or .json or .jsonl")
    parser.add_argument("--conversations", default="", metavar="FILE", help="dialogues with pictures, in JSON")


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """Sample, or with --dry-run say what would be sampled; the exit code."""
    options, prompts = recipe.sample, collect_prompts(recipe, args)
    total = sum(prompt.settings.get("num", options.num_per_prompt) for prompt in prompts)
    size = "sizes of the model's choice" if options.size == AUTO_SIZE else options.size
    print(f"sample      {total} answers, {size} where they do not say it, guidance {options.guidance:g}, {options.batch_size} at once")
    if not prompts:
        print("sample.prompts names none: nothing to do")
        return 0
    folder = train_folder(recipe).parent / SAMPLES_FOLDER
    if args.dry_run and not options.checkpoint:
        return 0
    checkpoint = find_checkpoint(recipe)
    print(f"checkpoint  {checkpoint}")
    spec = engine_spec(recipe, checkpoint)
    asked = plan_requests(recipe, prompts, checkpoint)
    text = TextTokenizer(spec.text_path)
    check_lengths(asked, text, spec.max_tokens())
    if args.dry_run:
        return 0
    store = open_store(recipe, folder, asked, spec, text)
    if store.is_done():
        store.clear()
        print(f"{folder}: already done, {len(asked)} answers")
        return 0
    _sample(recipe, spec, store, asked)
    return 0


def collect_prompts(recipe: Recipe, args: argparse.Namespace) -> list[Prompt]:
    """What is asked: by the command line, or else by the recipe.

    Raises:
        RecipeError: A file that is not there or has another form.
    """
    given = [getattr(args, name, None) for name in ("prompt", "prompts", "conversations")]  # `mgpt run` has no such flags
    if any(given):
        texts, file, dialogues = given
        where = "--prompt"
    else:
        options = recipe.sample
        texts, file, dialogues, where = options.prompts, options.prompts_file, options.conversations_file, "sample.prompts"
    prompts = plain_prompts(list(texts or ()), where)
    return [*prompts, *(read_prompts(file) if file else ()), *(read_conversations(dialogues) if dialogues else ())]


def find_checkpoint(recipe: Recipe) -> Path:
    """The model folder that the recipe names, or the run's own last checkpoint.

    Raises:
        RecipeError: There is none.
    """
    if recipe.sample.checkpoint:
        return Path(recipe.sample.checkpoint)
    from jobs.lm.checkpoint import find_checkpoints

    checkpoints = find_checkpoints(train_folder(recipe))
    if not checkpoints:
        raise RecipeError(f"{train_folder(recipe)}: no checkpoint; run `mgpt train` first, or name a model folder in sample.checkpoint")
    return checkpoints[-1]


def open_store(recipe: Recipe, folder: Path, asked: Sequence[Asked], spec: EngineSpec, text: TextTokenizer) -> Store:
    """OUTPUT/samples for this plan."""
    vocab = text.vocab
    mark = fingerprint(asked, identity(recipe, vocab.fingerprint))
    tokens = Identity(
        token_dtype=vocab.dtype.name,
        vocabulary={"fingerprint": vocab.fingerprint, "size": vocab.size},
        vq=recipe.resolved()["tokens"]["vq"] | {"fingerprint": recipe.vq.fingerprint()},
        recipe=mark,
        text_tokenizer=paths.read_bytes(spec.text_path),
    )
    return Store(folder, asked, mark, tokens if recipe.sample.write_tokens else None, recipe.tokens.shard_bytes)


def _sample(recipe: Recipe, spec: EngineSpec, store: Store, asked: Sequence[Asked]) -> None:
    from tqdm import tqdm

    todo = store.begin()
    if len(todo) < len(asked):
        print(f"{store.folder}: going on, {len(asked) - len(todo)} answers are there")
    num_codes = num_steps = 0
    for answer in tqdm(_answers(recipe, spec, todo), total=len(todo), unit="answer", disable=None):
        store.add(answer)
        num_codes, num_steps = num_codes + answer.num_codes, num_steps + answer.num_code_steps
    store.finish()
    saved = f", {num_codes} codes in {num_steps} passes" if num_steps < num_codes else ""
    print(f"{store.folder}: {len(asked)} answers{saved}")


def _answers(recipe: Recipe, spec: EngineSpec, todo: Sequence[Asked]) -> Iterator[Answer]:
    if not todo:
        return
    hand = HANDS * recipe.sample.batch_size
    if recipe.sample.actors:
        yield from answer_on_ray(spec, todo, _job, actors=recipe.sample.actors, hand=hand, address=recipe.run.address)
        return
    engine = spec.load()
    for start in range(0, len(todo), hand):
        yield from engine.answer([_job(one) for one in todo[start : start + hand]])


def _job(one: Asked) -> Job:
    return Job(one, read_pixels(one))
