"""The best share of a run is exact, whatever the order; ties are kept."""

import math

import numpy as np
import pyarrow as pa
import pytest

from filters.quantile import all_but_the_top, top_threshold
from pipeline.run_view import Ruling, RunView


def view(values, alive=None):
    table = pa.table({"key": [str(n) for n in range(len(values))], "quality": pa.array(values, pa.float64())})
    return RunView(table, np.ones(len(values), bool) if alive is None else np.array(alive))


@pytest.mark.parametrize(("fraction", "kept"), [(1.0, 10), (0.3, 3), (0.31, 4), (0.1, 1), (0.01, 1), (0.0, 0)])
def test_the_top_share_is_kept(fraction, kept):
    rng = np.random.default_rng(0)
    values = rng.permutation(10).astype(float)
    left_out = all_but_the_top(view(list(values)), "quality", fraction)
    assert sorted(values[row] for row in range(10) if row not in left_out) == list(range(10 - kept, 10))
    assert set(left_out.values()) <= {Ruling("not_in_top_quality")}


def test_ties_at_the_threshold_are_kept():
    assert set(all_but_the_top(view([1.0, 2.0, 2.0, 2.0, 3.0]), "quality", 0.4)) == {0}


def test_only_living_rows_with_a_score_count():
    assert set(all_but_the_top(view([9.0, None, 1.0, 2.0], [False, True, True, True]), "quality", 0.5)) == {2}
    assert all_but_the_top(view([None, None]), "quality", 0.5) == {}
    assert all_but_the_top(view([1.0]), "another", 0.5) == {}


def test_thresholds():
    assert top_threshold(np.arange(100.0), 0.3) == 70.0
    assert top_threshold(np.array([]), 0.3) == -math.inf
