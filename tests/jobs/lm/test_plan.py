"""Windows: every sequence in each epoch once, none cut, and always the same."""

import numpy as np
import pytest

from jobs.lm import plan as plan_module
from jobs.lm.mixture import make_mixture
from jobs.lm.options import TrainOptions
from jobs.lm.plan import Plan
from pipeline.errors import RecipeError, VerificationError

LENGTHS = np.random.default_rng(0).integers(5, 100, 500)


def test_every_sequence_lies_in_one_window_of_each_epoch():
    plan = Plan(LENGTHS, 128, 4, seed=1)
    for epoch in (0, 1):
        assert sorted(number for window in plan.windows(epoch) for number in window) == list(range(500))


def test_no_window_holds_more_than_it_can():
    plan = Plan(LENGTHS, 128, 4, seed=1)
    assert max(LENGTHS[list(window)].sum() for window in plan.windows(0)) <= 128


def test_a_sequence_as_long_as_the_window_fits_and_one_longer_is_refused():
    Plan(LENGTHS, int(LENGTHS.max()), 4, seed=1)
    with pytest.raises(RecipeError, match=rf"are longer than {LENGTHS.max() - 1} tokens.*set 0 or {LENGTHS.max()}"):
        Plan(LENGTHS, int(LENGTHS.max()) - 1, 4, seed=1)


def test_a_window_of_0_takes_the_longest_sequence():
    assert Plan(LENGTHS, 0, 4, seed=1).window == LENGTHS.max()


def test_packing_leaves_little_padding():
    plan = Plan(LENGTHS, 512, 4, seed=1)
    assert plan.padding(0) < 0.02
    assert plan.padding(0) == pytest.approx(1 - LENGTHS.sum() / (len(plan.windows(0)) * 512))


def test_steps_run_on_across_the_border_of_epochs():
    plan = Plan(np.full(5, 10), 10, 3, seed=2)
    windows = [window for step in range(5) for window in plan.step(step)]
    assert [epoch for epoch, _ in windows] == [0] * 5 + [1] * 5 + [2] * 5
    assert [window for _, window in windows] == [window for epoch in range(3) for window in plan.windows(epoch)]


def test_a_step_is_the_same_for_a_plan_that_has_seen_none_before():
    plan = Plan(LENGTHS, 128, 4, seed=1)
    steps = [plan.step(step) for step in range(300)]
    assert plan.num_windows(0) < 1200 / 3, "the test crosses epochs"
    assert Plan(LENGTHS, 128, 4, seed=1).step(271) == steps[271]


def test_epochs_and_seeds_have_orders_of_their_own():
    plan = Plan(LENGTHS, 128, 4, seed=1)
    assert plan.windows(0) != plan.windows(1)
    assert plan.windows(0) != Plan(LENGTHS, 128, 4, seed=2).windows(0)


def test_no_sequences_are_refused():
    with pytest.raises(RecipeError, match="no sequence"):
        Plan(np.empty(0, np.int64), 0, 4, seed=1)


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_any_number_of_processes_takes_the_same_windows_in_the_same_order(processes):
    plans = [Plan(LENGTHS, 128, 4, seed=1) for _ in range(processes)]
    for step in (0, 7, 150):
        shares = [plan.step(step)[rank::processes] for rank, plan in enumerate(plans)]
        merged = [shares[place % processes][place // processes] for place in range(4)]
        assert tuple(merged) == Plan(LENGTHS, 128, 4, seed=1).step(step)


def steady_plan(folder: str = "", fingerprint: str = "") -> Plan:
    return Plan(LENGTHS, 128, 4, 1, folder=folder, fingerprint=fingerprint)


def mixed_plan(folder: str = "", fingerprint: str = "") -> Plan:
    """Its epochs differ in size: it takes tasks in parts."""
    options = TrainOptions(mixture={"a": 0.37, "b": 1.6})
    mixture = make_mixture(options, LENGTHS, np.arange(500) % 2, ("a", "b"), 1)
    return Plan(LENGTHS, 128, 4, 1, mixture=mixture, folder=folder, fingerprint=fingerprint)


def test_steps_of_a_mixture_run_through_epochs_of_different_sizes():
    plan = mixed_plan()
    sizes = [plan.num_windows(epoch) for epoch in range(5)]
    assert len(set(sizes)) > 1
    steps = range(sum(sizes) // 4)
    windows = [window for step in steps for window in plan.step(step)]
    assert windows == [(epoch, window) for epoch in range(5) for window in plan.windows(epoch)][: len(windows)]
    assert mixed_plan().step(steps[-1]) == plan.step(steps[-1])
    for epoch in range(5):
        numbers = sorted(number for window in plan.windows(epoch) for number in window)
        assert numbers == sorted(plan.mixture.draw(epoch).tolist())


def test_a_task_that_is_never_drawn_may_be_longer_than_the_window():
    tasks = (LENGTHS > 50).astype(int)
    mixture = make_mixture(TrainOptions(mixture={"long": 0}), LENGTHS, tasks, ("short", "long"), 0)
    assert Plan(LENGTHS, 0, 4, 0, mixture=mixture).window == 50
    with pytest.raises(RecipeError, match="sequences are longer than 49 tokens"):
        Plan(LENGTHS, 49, 4, 0, mixture=mixture)


@pytest.fixture
def saves_all(monkeypatch):
    monkeypatch.setattr(plan_module, "SAVED_FROM", 1)


@pytest.mark.parametrize("make", [mixed_plan, steady_plan])
def test_a_saved_epoch_is_opened_by_others_and_gives_the_same_steps(tmp_path, monkeypatch, saves_all, make):
    folder = str(tmp_path / "plans")
    plan = make(folder, "0123")
    assert not (tmp_path / "plans").exists(), "nothing is written before it is asked for"
    steps = [plan.step(step) for step in range(0, 200, 10)]
    assert steps == [make().step(step) for step in range(0, 200, 10)]
    names = sorted(path.name for path in (tmp_path / "plans").iterdir())
    assert names[0] == "epoch-0000-0123.arrow"
    with monkeypatch.context() as patch:
        patch.setattr(plan_module, "deal", None)  # opening needs neither
        patch.setattr(plan_module, "pack", None)
        other = make(folder, "0123")
        assert [other.step(step) for step in range(0, 200, 10)] == steps
        sequences = other._epoch(0)[1]
        assert not sequences.flags.owndata
        assert not sequences.flags.writeable, "a view of the mapped file"
    assert make(folder, "4567").step(0) == steps[0]
    assert (tmp_path / "plans" / "epoch-0000-4567.arrow").exists()


def test_small_epochs_are_not_saved(tmp_path):
    Plan(LENGTHS, 128, 4, 1, folder=str(tmp_path / "plans")).step(0)
    assert not (tmp_path / "plans").exists()


def test_a_damaged_saved_epoch_is_named(tmp_path, saves_all):
    Plan(LENGTHS, 128, 4, 1, folder=str(tmp_path), fingerprint="x").step(0)
    path = tmp_path / "epoch-0000-x.arrow"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(VerificationError, match=r"epoch-0000-x\.arrow"):
        Plan(LENGTHS, 128, 4, 1, folder=str(tmp_path), fingerprint="x").step(0)
