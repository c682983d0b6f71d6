"""What a training reads: divided, filtered and planned as the options say."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.lm import plan as plan_module
from jobs.lm.plan_table import describe_draw
from jobs.lm.train_data import open_data
from pipeline.errors import RecipeError
from tests.jobs.lm.tiny import OPTIONS, mixed_sequences, write_mixed

LENGTHS = np.array([len(sequence.input_ids) for sequence in mixed_sequences(40)])
LONGEST = int(LENGTHS.max())


def test_longer_sequences_are_refused_or_left_out_and_counted(tmp_path):
    output = str(write_mixed(tmp_path, 40))
    with pytest.raises(RecipeError, match=rf"sequences are longer than {LONGEST - 1} tokens.*train\.drop_longer to leave them out"):
        open_data(output, replace(OPTIONS, window=LONGEST - 1), 0)
    data = open_data(output, replace(OPTIONS, window=LONGEST - 1, drop_longer=True), 0)
    assert data.trained_on.tolist() == np.flatnonzero(LENGTHS < LONGEST).tolist()
    assert data.num_dropped == (LENGTHS == LONGEST).sum()
    assert describe_draw(data) == [f"left out    {data.num_dropped} sequences that are longer than {LONGEST - 1} tokens"]
    exact = open_data(output, replace(OPTIONS, window=LONGEST, drop_longer=True), 0)
    assert (exact.num_dropped, len(exact.trained_on), describe_draw(exact)) == (0, 40, [])
    with pytest.raises(RecipeError, match="no sequence"):
        open_data(output, replace(OPTIONS, window=3, drop_longer=True), 0)


def test_held_out_sequences_that_are_longer_are_left_out_as_well(tmp_path):
    options = replace(OPTIONS, window=LONGEST - 1, drop_longer=True, held_out_fraction=0.5)
    data = open_data(str(write_mixed(tmp_path, 40)), options, 0)
    assert LENGTHS[data.held_out].max() < LONGEST
    assert sorted(data.held_out.tolist()) == sorted(int(data.held_out[n]) for window in data.held_out_windows for n in window)
    assert len(data.trained_on) + len(data.held_out) + data.num_dropped == 40


def test_a_mixture_counts_the_sequences_that_are_trained_on(tmp_path):
    options = replace(OPTIONS, held_out_fraction=0.3, mixture={"depth": 3, "text_only": 0})
    data = open_data(str(write_mixed(tmp_path, 40)), options, 0)
    drawn = data.trained_on[data.plan.mixture.draw(0)]
    tasks = np.array([sequence.task for sequence in mixed_sequences(40)])
    assert not set(drawn.tolist()) & set(data.held_out.tolist())
    for task, often in (("depth", 3), ("text_only", 0), ("text_to_image", 1)):
        assert (tasks[drawn] == task).sum() == often * (tasks[data.trained_on] == task).sum()
    with pytest.raises(RecipeError, match=r"train\.mixture: there is no sequence of task 'dept'"):
        open_data(str(tmp_path), replace(OPTIONS, mixture={"dept": 1}), 0)


def test_saved_epochs_have_names_of_all_that_they_depend_on(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "SAVED_FROM", 1)
    output = str(write_mixed(tmp_path, 40))
    changes = [{}, {"window": 200}, {"held_out_fraction": 0.2}, {"mixture": {"depth": 2}}, {"steps": 99, "batch_size": 3}]
    for change in changes:
        open_data(output, replace(OPTIONS, **change), 0).plan.step(0)
    open_data(output, OPTIONS, 1).plan.step(0)
    assert len(list((tmp_path / "train" / "plans").iterdir())) == 5, "steps and windows a step change no epoch"
    write_mixed(tmp_path, 39)
    open_data(output, OPTIONS, 0).plan.step(0)
    assert len(list((tmp_path / "train" / "plans").iterdir())) == 6
