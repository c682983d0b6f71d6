"""How fast pictures are sampled with guidance: `python -m benchmarks.sampling`.

    transformers    `generate` with its own processor for guidance, which makes a second pass for each token, as the reference does; then
                    the layout's rules and top k on all logits
    ours            `jobs.lm.sampling`
    with a window   the same, and codes guessed ahead

Two ratios, both of tokens/s: over transformers with one answer at once, for the reference samples one prompt at a time and has no batches;
and over transformers with as many answers at once as the row has. "15 times at batch 8" is the first: our 8 answers at once against one
after another. Guidance takes two forwards a token everywhere: of one answer each in the first, of 8 each in the second; ours are 16 rows in
one.

The model is new, with Chameleon's vocabulary, so that its numbers are noise; the arithmetic is that of a trained one of its size. A Jacobi
window is measured with the head enlarged, so that the next code is about as certain as a trained model has it; passes and time are given.
All ways in turn in one run: only ratios are to be believed on a shared machine. Tokens are those of images, line breaks included.
"""

import argparse
import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import ChameleonForConditionalGeneration, LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import TopKLogitsWarper, UnbatchedClassifierFreeGuidanceLogitsProcessor

from benchmarks.lm_size import add_size_flags, sized_model
from jobs.lm.folder import VQ_PREFIX
from jobs.lm.model import LanguageModel
from jobs.lm.requests import SampleRequest
from jobs.lm.sampling.sampler import Sampler
from pipeline.samples import Turn
from tokenizer.grammar import forced_id, image_slots
from tokenizer.layout import NUM_HEAD, ids_to_image, image_head, image_length
from tokenizer.sequence import generation_prompt
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.text import TextTokenizer
from tokenizer.vocab import Vocab

GUIDANCE, TOP_K = 4.0, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_size_flags(parser)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--windows", type=int, nargs="*", default=[4], help="Jacobi windows")
    parser.add_argument("--peak", type=float, default=4.0, help="factor of the head for Jacobi windows")
    parser.add_argument("--rounds", type=int, default=2, help="times that all ways are measured; the fastest counts")
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    length = image_length(args.size, args.size)
    sized = sized_model(args, length + 100)
    model, text = sized.model.eval().to(getattr(torch, args.dtype)), sized.text
    print(f"{args.size}x{args.size}, {args.dtype}")
    theirs, peaked = plain_model(model), copy.deepcopy(model)
    peaked.lm_head.weight.data *= args.peak

    def ours(batch: int, window: int, network: LanguageModel) -> Callable[[], int]:
        sampler = Sampler(network, text, sized.names, len(sized.vocab.codes), seed=0, batch_size=batch, jacobi_window=window)
        requests = make_requests(batch, args.size)
        return lambda: max(result.num_code_steps for result in sampler.sample(requests))

    def plain(batch: int) -> Callable[[], int]:
        return lambda: generate(theirs, text, batch, args.size)

    ways: dict[tuple[str, int], Callable[[], int]] = {}
    for batch in args.batches:
        ways["transformers", batch] = plain(batch)
        ways["ours", batch] = ours(batch, 0, model)
    for window in args.windows:
        ways[f"ours, window {window}", 1] = ours(1, window, peaked)
    seconds = dict.fromkeys(ways, float("inf"))
    passes = dict.fromkeys(ways, 0)
    for _ in range(args.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            passes[name] = way()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    print(f"| way | answers at once | passes | tokens/s | of transformers at {args.batches[0]} | of transformers at as many |")
    print("|---|---|---|---|---|---|")
    rates = {(way, batch): batch * (length - NUM_HEAD) / taken for (way, batch), taken in seconds.items()}
    first = rates["transformers", args.batches[0]]
    for (way, batch), rate in rates.items():
        same = rates.get(("transformers", batch), first)
        print(f"| {way} | {batch} | {passes[way, batch]} | {rate:.1f} | {rate / first:.2f} | {rate / same:.2f} |")


def make_requests(count: int, size: int) -> list[SampleRequest]:
    turns = (Turn("user", (text_to_image_prompt("a red circle above two blue squares", (size, size)),)),)
    return [SampleRequest(number, turns, size=(size, size), guidance=GUIDANCE, image_top_k=TOP_K) for number in range(count)]


def plain_model(model: LanguageModel) -> ChameleonForConditionalGeneration:
    """The same weights in transformers' class, which must not mask the ids of images."""
    plain = ChameleonForConditionalGeneration(model.config).eval().to(model.lm_head.weight.dtype)
    vq = {name: tensor for name, tensor in plain.state_dict().items() if name.startswith(VQ_PREFIX)}  # never called
    plain.load_state_dict(model.state_dict() | vq, assign=True)
    plain.model.vocabulary_mapping.image_tokens = []
    return plain


class LayoutRules(LogitsProcessor):
    """What may stand where in an image, on all logits."""

    def __init__(self, vocab: Vocab, num_ids: int, start: int, size: int):
        self._start = start
        self._forced = [forced_id(slot, size, size, vocab) for slot in image_slots(size, size).tolist()]
        self._not_codes = torch.ones(num_ids, dtype=torch.bool)
        self._not_codes[list(vocab.codes)] = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        forced = self._forced[input_ids.shape[1] - self._start]
        if forced is None:
            return scores.masked_fill(self._not_codes, -torch.inf)
        others = torch.ones(scores.shape[1], dtype=torch.bool)
        others[forced] = False
        return scores.masked_fill(others, -torch.inf)


@torch.inference_mode()
def generate(model: ChameleonForConditionalGeneration, text: TextTokenizer, batch: int, size: int) -> int:
    """Sample pictures as transformers does; how many passes it took, of each branch."""
    vocab, length = text.vocab, image_length(size, size)
    head = image_head(size, size, vocab)
    context = [*generation_prompt(make_requests(1, size)[0].turns, {}, text).tolist(), *head]
    rules = LogitsProcessorList(
        [
            UnbatchedClassifierFreeGuidanceLogitsProcessor(GUIDANCE, model, torch.tensor([head] * batch)),
            LayoutRules(vocab, model.config.vocab_size, len(context) - NUM_HEAD, size),
            TopKLogitsWarper(TOP_K),
        ]
    )
    ids = torch.tensor([context] * batch)
    torch.manual_seed(0)
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        logits_processor=rules,
        do_sample=True,
        top_k=0,
        max_new_tokens=length - NUM_HEAD,
        eos_token_id=None,
        pad_token_id=1,
    )
    for row in made.cpu().numpy():
        ids_to_image(row[len(context) - NUM_HEAD :], vocab)  # raises where the layout is broken
    return length - NUM_HEAD


if __name__ == "__main__":
    main()
