"""The table of `mgpt train --plan`: every number in it is one of the plan's, or of the reference's batches."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.planning import simulate
from jobs.lm.plan_table import clustered_padding, describe_draw, plan_table, print_plan
from jobs.lm.train_data import open_data
from tests.jobs.lm.tiny import OPTIONS, mixed_sequences, write_mixed

LENGTHS = sorted(len(sequence.input_ids) for sequence in mixed_sequences())


def test_rows_are_what_a_plan_of_that_window_says(tmp_path):
    output = str(write_mixed(tmp_path))
    table = plan_table(output, OPTIONS, seed=7)
    assert (table.sequences, table.tokens, table.longest) == (12, sum(LENGTHS), LENGTHS[-1])
    assert [row.window for row in table.rows] == [LENGTHS[-1], 4096, 8192, 12288, 16384, 24576, 32768]
    assert [row.is_recipes for row in table.rows] == [True] + [False] * 6
    for row in table.rows:
        plan = open_data(output, replace(OPTIONS, window=row.window), 7).plan
        assert (row.windows, row.padding) == (plan.num_windows(0), plan.padding(0))
        assert row.tokens_per_step == 2 * row.window
        assert row.steps == -(-row.windows // 2)


def test_windows_that_hold_not_everything_are_counted_and_only_listed_where_the_long_ones_are_left_out(tmp_path, capsys):
    output = str(write_mixed(tmp_path))
    window = LENGTHS[-1] - 1
    too_long = LENGTHS.count(LENGTHS[-1])
    refused = plan_table(output, replace(OPTIONS, window=window), 7)
    assert refused.too_long == too_long
    assert not any(row.is_recipes for row in refused.rows)
    print_plan(refused, as_json=False)
    assert f"{too_long} sequences are longer than this recipe's window; none is cut" in capsys.readouterr().out
    dropped = plan_table(output, replace(OPTIONS, window=window, drop_longer=True), 7)
    assert [row.window for row in dropped.rows if row.is_recipes] == [window]
    assert dropped.too_long == too_long


def test_the_table_plans_the_mixture(tmp_path):
    output = str(write_mixed(tmp_path))
    options = replace(OPTIONS, mixture={"depth": 0, "text_only": 4})
    assert plan_table(output, options, 7).sequences == 6 + 4 * 3
    words = "\n".join(describe_draw(open_data(output, options, 7)))
    assert words == (
        "mixture     text_only: 12 of 3 sequences an epoch, 4 passes\nmixture     text_to_image: 6 of 6 sequences an epoch, 1 passes"
    )


def test_the_reference_pads_every_batch_to_its_longest():
    counts = np.bincount([10, 10, 20, 20, 40, 40])
    assert clustered_padding(counts, 20, 1, seed=0) == 0.0, "one a batch"
    padding = clustered_padding(counts, 47, 4, seed=0)  # two a batch, all shuffled together
    possible = {1 - 140 / (2 * sum(longest)) for longest in ((10, 20, 40), (20, 20, 40), (10, 40, 40), (20, 40, 40))}
    assert any(padding == pytest.approx(value) for value in possible)


def test_the_reference_sorts_only_beyond_500_global_batches():
    lengths, _ = simulate(60_000, seed=0)
    counts = np.bincount(lengths)
    tokens = int(lengths.mean() * 8)
    assert clustered_padding(counts, tokens, 32, seed=0) > 0.3, "all in one block of 128,000: random batches"
    assert clustered_padding(counts, tokens, 1, seed=0) < 0.1
