"""Round numbers on the axes, and nothing lost between data and drawing."""

import re

import pytest

from jobs.reporting.charts import MAX_POINTS, Line, Mark, column_chart, histogram, line_chart, nice_ticks, running_mean, thin


@pytest.mark.parametrize(
    "low, high, wanted, ticks",
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0.12, 0.31, 4, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35]),
        (230, 336, 5, [225, 250, 275, 300, 325, 350]),
        (3, 3, 5, [3]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(low, high, wanted, ticks):
    assert nice_ticks(low, high, wanted) == ticks


@pytest.mark.parametrize("low, high", [(1e-7, 3e-7), (0, 1e9), (-5, 17), (0.999, 1.001)])
def test_ticks_enclose_any_range(low, high):
    ticks = nice_ticks(low, high, 5)
    assert ticks[0] <= low and ticks[-1] >= high
    assert 3 <= len(ticks) <= 9


def test_columns_are_as_high_as_their_share_of_the_highest():
    chart = column_chart([1, 4, 0, 2], [0, 10, 20, 30, 40])
    assert re.findall(r'<i style="height:([\d.]+)%', chart) == ["25.00", "100.00", "0.00", "50.00"]
    assert 'title="10 to 20: 4"' in chart
    assert column_chart([0, 0], [0, 1, 2]) == ""


def test_a_line_runs_from_corner_to_corner():
    chart = line_chart([Line("raw", [(0, 0), (5, 2), (10, 10)])])
    assert 'd="M0.0 1000.0L500.0 800.0L1000.0 0.0"' in chart


def test_a_single_point_is_no_line():
    assert line_chart([Line("raw", [(0, 1)])]) == ""


def test_many_points_are_averaged_not_dropped():
    points = [(float(x), float(x % 2)) for x in range(10 * MAX_POINTS)]
    thinned = thin(points)
    assert len(thinned) == MAX_POINTS
    assert all(y == 0.5 for _, y in thinned)
    assert thin(points[:7]) == points[:7]


def test_the_running_mean_looks_back_as_far_as_it_can():
    assert running_mean([(0, 1), (1, 3), (2, 5), (3, 7)], 2) == [(0, 1.0), (1, 2.0), (2, 4.0), (3, 6.0)]


def test_a_histogram_stacks_its_parts_and_marks_thresholds():
    chart = histogram([([1, 2], ""), ([3, 0], "rejected")], [0.0, 10.0, 20.0], [Mark(5.0, "max_x 5")], is_log=False)
    assert re.findall(r'class="(rejected)?" style="height:([\d.]+)%', chart) == [("rejected", "75.00"), ("", "25.00"), ("", "50.00")]
    assert 'class="mark" style="left:25.00%" title="max_x 5"' in chart
    assert 'title="0 to 10: 4"' in chart
    assert histogram([([0], "")], [0.0, 1.0], [], is_log=False) == ""


def test_on_a_logarithmic_axis_factors_are_distances():
    chart = histogram([([1, 1, 1, 1], "")], [1.0, 10.0, 100.0, 1000.0, 10000.0], [Mark(100.0, "x")], is_log=True)
    assert 'class="mark" style="left:50.00%"' in chart
    assert all(f">{label}</span>" in chart for label in ("1", "10", "100", "1,000", "10,000"))
