"""Columns of a table that came along in `Sample.metadata`, whatever way their names and values are written."""

import math
from typing import Any

from pipeline.samples import Sample


def column(sample: Sample, name: str) -> Any:
    """What a sample's metadata say under a name, without regard to case and to "-" or "_" in it; None where they say nothing."""
    if name in sample.metadata:
        return _meaning(sample.metadata[name])
    wanted = plain_name(name)
    return next((_meaning(value) for key, value in sample.metadata.items() if plain_name(key) == wanted), None)


def number(sample: Sample, name: str) -> float | None:
    """The number in a column, also one that is written as text; None where there is none."""
    value = column(sample, name)
    if not isinstance(value, bool | int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def plain_name(name: str) -> str:
    return name.casefold().replace("_", "-")


def _meaning(value: Any) -> Any:
    """A missing value by any of its names is None."""
    is_nothing = (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and math.isnan(value))
    return None if is_nothing else value
