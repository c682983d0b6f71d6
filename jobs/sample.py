"""`mgpt sample RECIPE`: pictures from a trained model, into OUTPUT/samples.

samples/0000.png ...      a picture each; prompt, seed and settings stand in its text chunks
samples/samples.jsonl     a line a picture, written last: file, prompt, number, seed, size, guidance, ..., checkpoint
"""

import argparse
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.recipe import Recipe
from jobs.train import train_folder
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.samples import TokenSequence, Turn
from pipeline.shards.schema import TEXT_TOKENIZER
from tokenizer.layout import PIXELS_PER_CODE, ids_to_image, image_length
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.text import TextTokenizer
from tokenizer.vocab import Vocab

SAMPLES_FOLDER = "samples"
LIST = "samples.jsonl"
PICTURE_NAME = re.compile(r"\d{4,}\.png")


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """Sample, or with --dry-run say what would be sampled; the exit code."""
    options = recipe.sample
    width, height = options.width_height
    total = len(options.prompts) * options.num_per_prompt
    print(f"sample      {total} pictures of {width}x{height}, guidance {options.guidance:g}, {options.batch_size} at once")
    if not options.prompts:
        print("sample.prompts names none: nothing to do")
        return 0
    if recipe.vq.downsample != PIXELS_PER_CODE:
        raise RecipeError(f"tokens.vq: a code stands for {recipe.vq.downsample} pixels a side, in the token layout for {PIXELS_PER_CODE}")
    folder = train_folder(recipe).parent / SAMPLES_FOLDER
    if args.dry_run and not options.checkpoint:
        return 0
    checkpoint = find_checkpoint(recipe)
    print(f"checkpoint  {checkpoint}")
    planned = plan_pictures(recipe, checkpoint)
    if args.dry_run:
        return 0
    if _is_done(folder, planned):
        print(f"{folder}: already done, {len(planned)} pictures")
        return 0
    _sample(recipe, checkpoint, folder, planned)
    return 0


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


def plan_pictures(recipe: Recipe, checkpoint: Path) -> list[dict[str, Any]]:
    """What `samples.jsonl` will say, a line a picture."""
    options = recipe.sample
    prompts = [prompt for prompt in options.prompts for _ in range(options.num_per_prompt)]
    return [
        {
            "file": f"{number:04d}.png",
            "prompt": prompt,
            "number": number,
            "seed": recipe.seed if options.seed is None else options.seed,
            "size": options.size,
            "guidance": options.guidance,
            "temperature": options.temperature,
            "image_top_k": options.image_top_k,
            "dtype": options.dtype,
            "checkpoint": str(checkpoint),
        }
        for number, prompt in enumerate(prompts)
    ]


def _is_done(folder: Path, planned: list[dict[str, Any]]) -> bool:
    lines = (folder / LIST).read_text().splitlines() if (folder / LIST).is_file() else []
    return [json.loads(line) for line in lines] == planned and all((folder / line["file"]).is_file() for line in planned)


def _sample(recipe: Recipe, checkpoint: Path, folder: Path, planned: list[dict[str, Any]]) -> None:
    import torch
    from tqdm import tqdm

    from jobs.lm.folder import load_folder, read_names
    from jobs.lm.model import choose_device
    from jobs.lm.requests import SampleRequest
    from jobs.lm.sampling.compiled import StepCompiler
    from jobs.lm.sampling.sampler import Sampler

    options = recipe.sample
    own_text = checkpoint / TEXT_TOKENIZER
    text = TextTokenizer(str(own_text) if own_text.is_file() else recipe.tokens.text_path)
    names = read_names(str(own_text) if own_text.is_file() else recipe.tokens.text_path)
    loaded = load_folder(str(checkpoint), text.vocab, names, getattr(torch, options.dtype))
    model = loaded.model.eval().to(choose_device(options.device))
    vq = recipe.vq.load()
    num_codes = min(recipe.vq.num_codes, len(text.vocab.codes))
    seed, size = planned[0]["seed"], options.width_height
    sampler = Sampler(
        model,
        text,
        names,
        num_codes,
        seed=seed,
        batch_size=options.batch_size,
        jacobi_window=options.jacobi_window,
        compiler=StepCompiler() if options.compile else None,
    )
    requests = [
        SampleRequest(
            number=line["number"],
            turns=(Turn("user", (text_to_image_prompt(line["prompt"], size),)),),
            size=size,
            guidance=options.guidance,
            temperature=options.temperature,
            image_top_k=options.image_top_k,
            caption=line["prompt"],
        )
        for line in planned
    ]
    _remove_old(folder)
    for result in tqdm(sampler.sample(requests), total=len(planned), unit="picture", disable=None):
        line = planned[result.number]
        [pixels] = vq.decode(_codes(result.sequence, text.vocab)[None])  # one by one: in a batch a pixel may round another way
        paths.commit_bytes(str(folder / line["file"]), to_png(pixels, line))
    paths.commit_bytes(str(folder / LIST), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in planned).encode())
    print(f"{folder}: {len(planned)} pictures")


def to_png(pixels_HWC: np.ndarray, texts: dict[str, Any]) -> bytes:
    """A picture with its settings in text chunks, as viewers and `exiftool` show them."""
    chunks = PngInfo()
    for name, value in texts.items():
        chunks.add_itxt(name, str(value))
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def _codes(sequence: TokenSequence, vocab: Vocab) -> np.ndarray:
    [image] = sequence.images
    return ids_to_image(sequence.input_ids[image.start : image.start + image_length(image.height, image.width)], vocab)


def _remove_old(folder: Path) -> None:
    """Remove what an earlier run with other settings left."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIST).unlink(missing_ok=True)
    for path in folder.iterdir():
        if PICTURE_NAME.fullmatch(path.name):
            path.unlink()
