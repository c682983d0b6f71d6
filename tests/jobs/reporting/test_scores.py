"""Histograms of scores: every value counts, thresholds are in view, counts get a column each."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from filters.flat_picture import FlatPicture
from jobs.__main__ import main
from jobs.report import write_report
from jobs.reporting.scores import NUM_BINS, bin_edges
from tests.jobs.recipes import ROOT, write_recipe


def test_edges_hold_nearly_all_values_and_near_thresholds():
    values = np.random.default_rng(0).normal(5, 1, 10_000)
    edges, is_log = bin_edges(values, [1.0, -500.0])
    assert not is_log and len(edges) == NUM_BINS + 1
    assert edges[0] == 1.0 and np.mean((values < edges[0]) | (values > edges[-1])) < 0.01


def test_wide_ranges_are_logarithmic_and_counts_get_a_column_each():
    assert bin_edges(np.geomspace(1, 1e6, 500), [])[1]
    edges, is_log = bin_edges(np.array([1.0, 2.0, 2.0, 5.0]), [3.0])
    assert not is_log and edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert len(bin_edges(np.array([7.0]), [])[0]) > 1
    assert len(bin_edges(np.array([300_000.0, 310_000.0]), [])[0]) == NUM_BINS + 1
    assert bin_edges(np.zeros(5), [10.0])[0][0] < 0


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    rest = '[[filter]]\nkind = "image_header"\n[[filter]]\nkind = "aspect_ratio"\nmax_aspect = 1.4\n[[filter]]\nkind = "flat_picture"\n'
    source = f'kind = "folder"\npath = "{ROOT}/examples/photos"'
    recipe, output = write_recipe(tmp_path_factory.mktemp("scores"), source, tokens="target_size = 32", rest=rest)
    assert main(["prepare", str(recipe)]) == 0
    return output


def test_the_report_draws_every_score_with_its_threshold(output):
    write_report(str(output), {})
    page = (output / "report.html").read_text()
    for score in ("num_bytes", "most_bytes", "num_pixels", "num_frames", "aspect_ratio", "luma_std"):
        assert f'<b class="key">{score}</b>' in page
    assert "max_aspect 1.4" in page and f"min_luma_std {FlatPicture().min_luma_std:g}" in page
    ledger = pq.read_table(output / "ledger")
    chart = page.split('<b class="key">aspect_ratio</b>')[1].split("</figure>")[0]
    counted = sum(int(part.split(": ")[1].split('"')[0]) for part in chart.split('<span title="')[1:])
    assert counted == ledger.num_rows - ledger["aspect_ratio"].null_count == 47
