"""Tokens a second of the trainer, packed and padded: `python -m benchmarks.training`.

Both ways train one new model on sequences of the same lengths, drawn as `benchmarks.planning` draws them, with as many tokens a step:

    packed   whole sequences in a window, each attending to itself               what `mgpt train` does
    padded   the reference's batches: sequences clustered by length, each padded to the longest of its batch, one a row

Only tokens that are no padding count. A step is forward, loss, backward and AdamW's. The ways take turns, so that a machine whose speed
changes is fair to both, and of each way those batches are trained on whose padding is nearest to that of its whole epoch.

Source of the clustering: as of `jobs.lm.plan_table.clustered_padding`.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.lm_size import add_size_flags, sized_model
from benchmarks.planning import TASKS, simulate
from jobs.lm.attention import attention_mask, use_attention
from jobs.lm.batches import Batch, lay_out
from jobs.lm.loss import batch_loss
from jobs.lm.model import LanguageModel
from jobs.lm.optimizer import make_optimizer
from jobs.lm.options import TrainOptions
from jobs.lm.plan import Plan
from jobs.lm.plan_table import REFERENCE_BLOCK
from jobs.lm.shuffle import permutation, word
from pipeline.samples import TokenSequence

PROMPT = 140  # tokens at the beginning that take no loss, at most half of the sequence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_size_flags(parser)
    parser.add_argument("--target-size", type=int, default=512, help="of the pictures, pixels a side")
    parser.add_argument("--window", type=int, default=8192)
    parser.add_argument("--batch-size", type=int, default=32, help="windows of a global batch: so many are clustered together")
    parser.add_argument("--count", type=int, default=100_000, help="sequences of an epoch")
    parser.add_argument("--steps", type=int, default=3, help="windows, and padded batches, that are trained on")
    args = parser.parse_args()
    sized = sized_model(args, args.window)

    lengths, tasks = simulate(args.count, seed=0, target_size=args.target_size)
    packed = Plan(lengths, args.window, args.batch_size, 0).windows(0)
    padded = clustered(lengths, args.window, args.batch_size)
    windows = {"packed": (packed, args.window), "padded": (padded, 0)}
    steps = {way: make_batches(rows, width, lengths, tasks, args.steps) for way, (rows, width) in windows.items()}
    train = trainer(sized.model, sized.options)
    train(lay_out([[sequence_of(0, 64, 0)]], 64))  # allocations and caches
    seconds = dict.fromkeys(steps, 0.0)
    for batches in zip(*steps.values(), strict=True):
        for way, batch in zip(steps, batches, strict=True):
            seconds[way] += train(batch)

    print("| way | padding of the epoch | padding of these steps | tokens a step | tokens/s | of padded |\n|---|---|---|---|---|---|")
    rates = {way: sum(batch.num_tokens for batch in batches) / seconds[way] for way, batches in steps.items()}
    for way, batches in steps.items():
        rows, width = windows[way]
        tokens, positions = sum(batch.num_tokens for batch in batches), sum(batch.ids_BT.numel() for batch in batches)
        cells = [f"{padding(rows, width, lengths):.1%}", f"{1 - tokens / positions:.1%}", f"{tokens / len(batches):,.0f}"]
        print(f"| {way} | {' | '.join(cells)} | {rates[way]:,.1f} | {rates[way] / rates['padded']:.2f} |")


def clustered(lengths: np.ndarray, window: int, batch_size: int) -> list[tuple[int, ...]]:
    """The numbers of the sequences of each padded batch; a batch has as many as make `window` tokens on average."""
    size = max(1, round(window * len(lengths) / int(lengths.sum())))
    block = REFERENCE_BLOCK * size * batch_size
    ordered = np.argsort(lengths, kind="stable")
    batches = []
    for number, start in enumerate(range(0, len(ordered), block)):
        here = ordered[start : start + block]
        here = here[permutation(len(here), 0, word("clustered"), number)]
        batches += [tuple(here[first : first + size].tolist()) for first in range(0, len(here), size)]
    return batches


def padding(rows: list[tuple[int, ...]], width: int, lengths: np.ndarray) -> float:
    """The share of positions that hold no token.

    Args:
        width: Of each row's one window; 0: it has a row for each sequence, as long as its longest.
    """
    positions = sum(width or len(row) * int(lengths[list(row)].max()) for row in rows)
    return 1 - sum(int(lengths[list(row)].sum()) for row in rows) / positions


def make_batches(rows: list[tuple[int, ...]], width: int, lengths: np.ndarray, tasks: np.ndarray, steps: int) -> list[Batch]:
    """Batches of those rows whose padding is nearest to that of all of them; the arguments are those of `padding`."""
    mean = padding(rows, width, lengths)
    chosen = sorted(rows, key=lambda row: abs(padding([row], width, lengths) - mean))[:steps]
    batches = []
    for row in chosen:
        sequences = [sequence_of(number, int(lengths[number]), int(tasks[number])) for number in row]
        batches.append(lay_out([sequences], width) if width else lay_out([[s] for s in sequences], int(lengths[list(row)].max())))
    return batches


def sequence_of(number: int, length: int, task: int) -> TokenSequence:
    """Ids are drawn at random; loss is on all behind the prompt."""
    ids = np.random.default_rng(number).integers(4, 8196, length).astype(np.uint16)
    return TokenSequence(str(number), TASKS[task], ids, ((min(PROMPT, length // 2), length),), (), "", {})


def trainer(model: LanguageModel, options: TrainOptions) -> Callable[[Batch], float]:
    """What does one step of a training, and gives its seconds."""
    optimizer = make_optimizer(model, options)
    kind = use_attention(model, options.attention, compiled=False)

    def train(batch: Batch) -> float:
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        hidden = model(batch.ids_BT, batch.position_ids_BT, attention_mask(batch, kind))
        batch_loss(hidden, model.lm_head.weight, batch, z_loss=options.z_loss).total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.grad_clip)
        optimizer.step()
        return time.perf_counter() - start

    return train


if __name__ == "__main__":
    main()
