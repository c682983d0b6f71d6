"""The unit of work: one input file or a slice of one. What a worker gets, repeats and commits as a whole."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """Records `start` to `stop` of `path`."""

    index: int  # among the units of a run, from 0
    path: str  # a file; for `folder` and what is drawn the source itself
    start: int  # record, counted within `path`
    stop: int | None  # exclusive; None: to the end, for a tar whose length only its reader learns
    source: int = 0  # which of a recipe's sources it comes from


def cut_into_units(path: str, num_records: int, unit_size: int, first_index: int = 0) -> list[Unit]:
    """Slices of at most `unit_size` records, in order; none where there are no records."""
    starts = range(0, num_records, unit_size)
    return [Unit(first_index + i, path, start, min(start + unit_size, num_records)) for i, start in enumerate(starts)]
