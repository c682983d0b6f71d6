"""Which of several samples that show the same is kept: never by who came first, for that would hang on the order of the input.

Shapes: N rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.run_view import Ruling, RunView, number_values


def equal_groups(signatures: pa.ChunkedArray, alive: np.ndarray) -> list[list[int]]:
    """Rows [N] that are alive and have the same signature, in groups of at least two; nulls equal nothing."""
    rows, values = number_values(signatures, alive)
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    return [rows[group].tolist() for group in np.split(order, starts[1:]) if len(group) > 1]


def ranking(view: RunView) -> Callable[[int], tuple[Any, ...]]:
    """What to sort rows by, the best first: by aesthetic score, then by pixels, then by key."""
    aesthetic, pixels, keys = np.nan_to_num(view.score("aesthetic"), nan=-np.inf), view.pixels, view.keys
    return lambda row: (-aesthetic[row], -pixels[row], keys[row], row)


def all_but_the_best(view: RunView, groups: Iterable[Sequence[int]], reason: str) -> Mapping[int, Ruling]:
    """A ruling for every row of a group but the one with the best aesthetic score, then the most pixels, then the first key."""
    rank, keys = ranking(view), view.keys
    rulings: dict[int, Ruling] = {}
    for group in groups:
        best = min(group, key=rank)
        rulings |= {row: Ruling(reason, keys[best]) for row in group if row != best}
    return rulings
