"""Windows: every sequence in each epoch once, none cut, and always the same."""

import numpy as np
import pytest

from jobs.lm.plan import Plan, pack
from pipeline.errors import RecipeError

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
    assert Plan(LENGTHS, 512, 4, seed=1).padding(0) < 0.06


def test_packing_takes_the_window_with_the_least_room():
    assert pack(np.array([6, 7, 3, 4]), np.arange(4), 10) == [(0, 3), (1, 2)]


def test_steps_run_on_across_the_border_of_epochs():
    plan = Plan(np.full(5, 10), 10, 3, seed=2)
    windows = [window for step in range(5) for window in plan.step(step)]
    assert [epoch for epoch, _ in windows] == [0] * 5 + [1] * 5 + [2] * 5
    assert [window for _, window in windows] == [window for epoch in range(3) for window in plan.windows(epoch)]


def test_a_step_is_the_same_for_a_plan_that_has_seen_none_before():
    plan = Plan(LENGTHS, 128, 4, seed=1)
    steps = [plan.step(step) for step in range(300)]
    assert plan._first_of(1) < 1200, "the test crosses epochs"
    assert Plan(LENGTHS, 128, 4, seed=1).step(271) == steps[271]


def test_epochs_and_seeds_have_orders_of_their_own():
    plan = Plan(LENGTHS, 128, 4, seed=1)
    assert plan.windows(0) != plan.windows(1)
    assert plan.windows(0) != Plan(LENGTHS, 128, 4, seed=2).windows(0)


def test_no_sequences_are_refused():
    with pytest.raises(RecipeError, match="no sequence"):
        Plan(np.empty(0, np.int64), 0, 4, seed=1)
