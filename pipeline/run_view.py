"""The whole run as a rule sees it that compares samples: rows with keys, scores and signatures.

Shapes: N rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

SIGNATURE = "signature."  # prefix of the columns in which rules keep what they compare


@dataclass(frozen=True, slots=True)
class Ruling:
    """Why a row is left out in view of the others."""

    reason: str  # snake_case
    duplicate_of: str = ""  # key of the sample that is kept in its place


@dataclass(frozen=True, eq=False)
class RunView:
    """Rows in the order of the input."""

    table: pa.Table  # the ledger's columns, scores and signatures
    alive: np.ndarray  # [N] bool: rows that no earlier rule left out, and that have not failed

    @cached_property
    def keys(self) -> Sequence[str]:
        """[N]"""
        keys: list[str] = self.table["key"].to_pylist()
        return keys

    def score(self, name: str) -> np.ndarray:
        """[N] float64; NaN where there is none, or no rule of the run fills it."""
        if name not in self.table.column_names:
            return np.full(self.table.num_rows, np.nan)
        return self.table[name].cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)

    def signatures(self, rule: str) -> pa.ChunkedArray:
        """[N] binary; null where a sample has none."""
        return self.table[signature_column(rule)]

    @property
    def pixels(self) -> np.ndarray:
        """[N] float64: width times height of the main picture; 0 without one."""
        return np.nan_to_num(self.score("original_width") * self.score("original_height"))


def number_values(column: pa.ChunkedArray, among_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal values have equal numbers, from 0 in the order of their first places.

    Args:
        among_N: bool: the places that count; nulls never do.

    Returns:
        Places [n], ascending, and the number [n] of the value at each.
    """
    places = np.flatnonzero(among_N & column.is_valid().to_numpy())
    if not len(places):
        return places, places
    codes = column.take(pa.array(places)).combine_chunks().dictionary_encode()
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    return places, codes.indices.to_numpy(zero_copy_only=False)


def signature_column(rule: str) -> str:
    """Where a unit's ledger keeps a rule's signatures."""
    return SIGNATURE + rule
