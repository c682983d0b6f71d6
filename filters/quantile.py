"""Thresholds that follow the data: the best share of what the filters before have left, exact over the run."""

import math
from collections.abc import Mapping

import numpy as np

from pipeline.run_view import Ruling, RunView


def top_reason(score: str) -> str:
    """Why a sample is left out that is not in the top share."""
    return f"not_in_top_{score}"


def all_but_the_top(view: RunView, score: str, top_fraction: float) -> Mapping[int, Ruling]:
    """Rulings for the living rows below the threshold that keeps `top_fraction` of them.

    Rows at the threshold are kept, all of them, so that nothing hangs on the order of the input. Rows without the score have nothing to be
    judged by: they are kept and not counted.
    """
    values = view.score(score)
    rows = np.flatnonzero(view.alive & ~np.isnan(values))
    threshold = top_threshold(values[rows], top_fraction)
    return {int(row): Ruling(top_reason(score)) for row in rows[values[rows] < threshold]}


def all_but_the_good(view: RunView, score: str, bounds: tuple[float, float], reason: str) -> Mapping[int, Ruling]:
    """Rulings for the living rows below a fixed score or below the top share, where the share is of all living rows that have the score.

    Args:
        bounds: The lowest score, and the share.
        reason: Of those below the lowest score.
    """
    values, (min_score, top_fraction) = view.score(score), bounds
    below = np.flatnonzero(view.alive & (values < min_score))
    return {**all_but_the_top(view, score, top_fraction), **{int(row): Ruling(reason) for row in below}}


def top_threshold(values_N: np.ndarray, top_fraction: float) -> float:
    """The value that `top_fraction` of the values, rounded up, reach; -inf where there is none."""
    count = math.ceil(round(top_fraction * len(values_N), 6))  # 0.3 * 10 is 3.0000000000000004 in places
    if not count:
        return math.inf if len(values_N) else -math.inf
    place = len(values_N) - count
    return float(np.partition(values_N, place)[place])
