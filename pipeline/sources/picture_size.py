"""Sizes of drawn pictures, as a recipe writes them: "WIDTHxHEIGHT" in pixels."""

import re

MIN_SIDE, MAX_SIDE = 16, 8192  # pixels


def parse_size(option: str, size: str) -> tuple[int, int]:
    """Width and height.

    Args:
        option: Its name, for the message.

    Raises:
        ValueError: It is not two whole numbers of MIN_SIDE to MAX_SIDE pixels.
    """
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise ValueError(f"{option}: wants 'WIDTHxHEIGHT', {MIN_SIDE} to {MAX_SIDE} pixels a side, got {size!r}")
    return width, height
