"""The report's histograms of scores: every number that a filter looked at, with its threshold drawn, and which samples were kept.

Shapes: N samples, B bins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import FILTERS
from filters.quantile import top_reason
from jobs.reporting.charts import Mark, histogram, number
from jobs.reporting.page import text
from jobs.reporting.run_data import RunData, read_ledger_column

NUM_BINS = 40
TAIL = 0.005  # share of the samples at either end that may lie beyond the drawing; they count in its first and last column
WIDE = 300.0  # highest over lowest value above which the axis is logarithmic


@dataclass(frozen=True)
class Threshold:
    """An option of a filter that a score is held against."""

    option: str
    value: float


def scores(data: RunData) -> str:
    """A chart a score, in the order of the filters."""
    if data.shards is None or not data.recipe.get("filter"):
        return ""
    disposition = read_ledger_column(data.output, "disposition")
    if disposition is None:
        return ""
    accepted = pc.equal(disposition, "accepted").to_numpy()
    charts = []
    for table in data.recipe["filter"]:
        kind = FILTERS.get(table["kind"])
        prefix = f"{table['name']}_" if "name" in table else ""
        for own in kind.scores if kind else ():
            score = prefix + own
            column = read_ledger_column(data.output, score)
            values = np.full(len(accepted), np.nan) if column is None else column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            if np.isfinite(values).any():
                charts.append(_chart(score, values, accepted, _thresholds(data, table, own, values)))
    if not charts:
        return ""
    note = (
        '<i class="swatch"></i> accepted&ensp;<i class="swatch rejected"></i> left out, here or elsewhere&ensp;'
        f"dashed: the threshold. The outermost {TAIL:.1%} at either end count in the first and last column."
    )
    return f'<section><h2>Scores</h2><p class="note">{note}</p><div class="score-charts">{"".join(charts)}</div></section>'


def _chart(score: str, values_N: np.ndarray, accepted_N: np.ndarray, thresholds: list[Threshold]) -> str:
    known = np.isfinite(values_N)
    edges, is_log = bin_edges(values_N[known], [each.value for each in thresholds])
    inside = np.clip(values_N, edges[0], edges[-1])
    kept, _ = np.histogram(inside[known & accepted_N], edges)
    out, _ = np.histogram(inside[known & ~accepted_N], edges)
    marks = [Mark(each.value, f"{each.option} {number(each.value)}") for each in thresholds if edges[0] <= each.value <= edges[-1]]
    beyond = [f"{each.option} {number(each.value)}, beyond the drawing" for each in thresholds if not edges[0] <= each.value <= edges[-1]]
    median = f"median {number(float(np.median(values_N[known])))} of {int(known.sum()):,}"
    words = "; ".join([median, *(mark.label for mark in marks), *beyond])
    chart = histogram([(kept.tolist(), ""), (out.tolist(), "rejected")], edges.tolist(), marks, is_log)
    return f'<figure><b class="key">{text(score)}</b>{chart}<figcaption>{text(words)}</figcaption></figure>'


def bin_edges(values_N: np.ndarray, thresholds: list[float]) -> tuple[np.ndarray, bool]:
    """Edges [B + 1] that show nearly all values and the thresholds near them, and whether they grow by a factor."""
    low, high = np.quantile(values_N, [TAIL, 1 - TAIL], method="nearest")
    span = high - low
    near = [value for value in thresholds if low - span <= value <= high + span]
    low, high = min([low, *near]), max([high, *near])
    if low == high:
        low, high = low - 0.5, high + 0.5
    if low > 0 and high / low > WIDE:
        return np.geomspace(low, high, NUM_BINS + 1), True
    if high - low < NUM_BINS and (values_N == np.round(values_N)).all():  # counts: a column a number
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.0), False
    return np.linspace(low, high, NUM_BINS + 1), False


def _thresholds(data: RunData, table: Mapping[str, Any], score: str, values_N: np.ndarray) -> list[Threshold]:
    """Those of the recipe, and the one that a quantile came to in this run."""
    kind = FILTERS[table["kind"]]
    options = [name for name, other in getattr(kind, "thresholds", {}).items() if other == score]
    found = [Threshold(name, float(table[name])) for name in options if table.get(name) is not None]
    if table.get("top_fraction", 1.0) < 1.0 and score == kind.scores[0]:
        reason = read_ledger_column(data.output, "reason")
        below = values_N[pc.equal(reason, top_reason(score)).to_numpy()] if reason is not None else values_N[:0]
        if len(below):
            found.append(Threshold(f"top {table['top_fraction']:.0%}: above", float(np.nanmax(below))))
    return found
