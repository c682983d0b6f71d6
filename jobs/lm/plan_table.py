"""`mgpt train RECIPE --plan`: what windows of other sizes would waste, and what the reference's batches would."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from jobs.lm.options import TrainOptions
from jobs.lm.packing import pack
from jobs.lm.shuffle import permutation, word
from jobs.lm.train_data import TrainData, open_data

WINDOWS = (4096, 8192, 12288, 16384, 24576, 32768)
REFERENCE_BLOCK = 500  # global batches that are shuffled together


@dataclass(frozen=True, slots=True)
class WindowRow:
    """An epoch in windows of one size."""

    window: int  # tokens
    windows: int  # an epoch
    padding: float  # share of all positions
    tokens_per_step: int  # positions, padding included
    steps: int  # an epoch
    clustered_padding: float  # of the reference's batches, which hold as many tokens as a window on average
    is_recipes: bool  # the recipe's own window


@dataclass(frozen=True, slots=True)
class PlanTable:
    """An epoch, whatever the window."""

    sequences: int  # an epoch
    tokens: int  # an epoch
    longest: int  # tokens
    too_long: int  # sequences that do not fit into the recipe's window
    drop_longer: bool  # those are left out; else the recipe is refused
    rows: tuple[WindowRow, ...]


def plan_table(output: str, options: TrainOptions, seed: int) -> PlanTable:
    """Plan the first epoch in windows of several sizes.

    Raises:
        RecipeError: As `open_data`, but for sequences that are longer than the window.
    """
    data = open_data(output, replace(options, window=0, drop_longer=False), seed)
    counts = data.plan.counts(0)
    longest = len(counts) - 1
    own = options.window or data.plan.window
    sizes = sorted({size for size in (longest, *WINDOWS) if size >= longest} - {own})
    rows = [_row(counts, size, options.batch_size, seed) for size in sizes]
    too_long = int(counts[own + 1 :].sum())
    if not too_long:
        rows.append(_row(counts, own, options.batch_size, seed, is_recipes=True))
    elif options.drop_longer:
        kept = open_data(output, options, seed).plan.counts(0)
        rows.append(_row(kept, own, options.batch_size, seed, is_recipes=True))
    tokens = int(counts @ np.arange(len(counts)))
    ordered = tuple(sorted(rows, key=lambda row: row.window))
    return PlanTable(int(counts.sum()), tokens, longest, too_long, options.drop_longer, ordered)


def clustered_padding(counts: np.ndarray, window: int, batch_size: int, seed: int) -> float:
    """The share of positions that hold no token in the reference's batches.

    Its sampler sorts all sequences by length, shuffles those of each 500 global batches among themselves, and pads every process's batch to
    the longest in it. A batch has as many sequences here as make `window` tokens on average, a global batch `batch_size` such batches.

    Source: Lumina-mGPT, `xllmx/data/sampler.py`, `FinetuneDistSampler`.

    Args:
        counts: [L] sequences by length.
    """
    lengths = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    tokens = int(lengths.sum())
    size = max(1, round(window * len(lengths) / tokens))
    block = REFERENCE_BLOCK * size * batch_size
    positions = 0
    for number, start in enumerate(range(0, len(lengths), block)):
        here = lengths[start : start + block]
        here = here[permutation(len(here), seed, word("clustered"), number)]
        edges = np.arange(0, len(here), size)
        positions += int((np.maximum.reduceat(here, edges) * np.diff(edges, append=len(here))).sum())
    return 1 - tokens / positions


def print_plan(table: PlanTable, as_json: bool) -> None:
    print(json.dumps(_to_json(table), indent=1) if as_json else "\n".join(_lines(table)))


def describe_draw(data: TrainData) -> list[str]:
    """What an epoch takes of each task, where a mixture is asked for, and what was left out."""
    lines = []
    if data.num_dropped:
        lines.append(f"left out    {data.num_dropped:,} sequences that are longer than {data.plan.window} tokens")
    mixture = data.plan.mixture
    for quota in mixture.quotas:
        if quota.task:
            held, what = mixture.pass_size(quota), "tokens" if mixture.by_tokens else "sequences"
            amount, passes = float(quota.amount), float(quota.amount / held)
            lines.append(f"mixture     {quota.task}: {amount:,.10g} of {held:,} {what} an epoch, {passes:.4g} passes")
    return lines


def _row(counts: np.ndarray, window: int, batch_size: int, seed: int, *, is_recipes: bool = False) -> WindowRow:
    packing = pack(counts, window, seed)
    return WindowRow(
        window=window,
        windows=packing.num_windows,
        padding=packing.padding,
        tokens_per_step=window * batch_size,
        steps=-(-packing.num_windows // batch_size),
        clustered_padding=clustered_padding(counts, window, batch_size, seed),
        is_recipes=is_recipes,
    )


def _lines(table: PlanTable) -> Sequence[str]:
    lines = [
        f"an epoch    {table.sequences:,} sequences, {table.tokens:,} tokens, the longest {table.longest:,}",
        f"{'window':>8} {'windows':>11} {'padding':>8} {'tokens a step':>14} {'steps an epoch':>15} {'padding if clustered by length':>31}",
    ]
    for row in table.rows:
        own = "  this recipe" if row.is_recipes else ""
        amounts = f"{row.window:>8,} {row.windows:>11,} {row.padding:>8.1%} {row.tokens_per_step:>14,} {row.steps:>15,}"
        lines.append(f"{amounts} {row.clustered_padding:>31.1%}{own}")
    lines.append(
        "clustered by length: the reference's batches, of as many tokens as a window on average, each padded to its longest sequence"
    )
    if table.too_long:
        end = "train.drop_longer leaves them out" if table.drop_longer else "none is cut: the recipe is refused without train.drop_longer"
        lines.append(f"{table.too_long:,} sequences are longer than this recipe's window; {end}")
    return lines


def _to_json(table: PlanTable) -> dict[str, Any]:
    plain = asdict(table)
    return plain | {"rows": list(plain["rows"])}
