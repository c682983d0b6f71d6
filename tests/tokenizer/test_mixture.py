"""The mixture that a run comes out with is the one that its recipe asks for."""

import numpy as np
import pytest

from tokenizer.mixture import plan_mixture

RNG = np.random.default_rng(0)


def keys(count: int) -> list[str]:
    return [f"{number:06d}" for number in range(count)]


def plan(tokens_NT, weights, unit="samples", max_repeats=4, seed=0, names=None):
    return plan_mixture(names or keys(len(tokens_NT)), np.array(tokens_NT), weights, unit=unit, max_repeats=max_repeats, seed=seed)


def three_classes() -> np.ndarray:
    """400 pictures that feed the first two tasks, 100 with a map that feed the third, too, 100 dialogues for the fourth."""
    lengths = RNG.integers(200, 400, (600, 4))
    lengths[:400, 2:] = 0
    lengths[400:500, 3] = 0
    lengths[500:, :3] = 0
    return lengths


@pytest.mark.parametrize("weights", [(0.6, 0.1, 0.15, 0.15), (0.9, 0.05, 0.03, 0.02), (1.2, 0.4, 0.2, 0.2), (0.25, 0.25, 0.25, 0.25)])
def test_shares_of_sequences_are_those_of_the_weights(weights):
    sums = plan(three_classes(), weights).sum(axis=0)
    assert sums / sums.sum() == pytest.approx(np.array(weights) / sum(weights), abs=0.003)


@pytest.mark.parametrize("weights", [(0.6, 0.1, 0.15, 0.15), (1.2, 0.4, 0.2, 0.2)])
def test_shares_of_tokens_are_those_of_the_weights(weights):
    lengths = three_classes()
    lengths[:, 1] //= 10
    tokens = (plan(lengths, weights, unit="tokens") * lengths).sum(axis=0)
    assert tokens / tokens.sum() == pytest.approx(np.array(weights) / sum(weights), abs=0.01)


def test_every_sample_is_used_once_where_that_can_be():
    lengths = np.full((1000, 3), 100)
    assert (plan(lengths, (0.5, 0.3, 0.2)).sum(axis=1) == 1).all()
    assert (plan(lengths, (1.0, 0.6, 0.4)).sum(axis=1) == 2).all()


def test_over_one_repeats_and_no_sample_much_more_than_the_others():
    draws = plan(np.full((100, 2), 50), (2.5, 0.5))
    assert draws.sum(axis=0).tolist() == [250, 50]
    assert set(draws[:, 0].tolist()) == {2, 3}


def test_a_task_that_few_can_feed_repeats_them_and_then_falls_short():
    lengths = np.zeros((1000, 2), int)
    lengths[:, 0] = 100
    lengths[:30, 1] = 100
    draws = plan(lengths, (0.9, 0.1))
    assert draws[:, 1].sum() == pytest.approx(100, abs=1) and draws[:, 1].max() == 4
    short = plan(lengths, (0.5, 0.5))
    assert short[:, 1].sum() == 120
    assert plan(lengths, (0.5, 0.5), max_repeats=2)[:, 1].sum() == 60


def test_what_cannot_be_is_never_planned():
    lengths = three_classes()
    assert not plan(lengths, (0.4, 0.3, 0.2, 0.1))[lengths == 0].any()


def test_a_task_that_nobody_can_feed_leaves_the_others_their_proportions():
    lengths = np.full((100, 3), 10)
    lengths[:, 2] = 0
    assert plan(lengths, (0.3, 0.1, 0.6)).sum(axis=0).tolist() == [75, 25, 0]


def test_samples_that_can_feed_nothing_are_left_alone():
    assert plan(np.zeros((5, 2), int), (0.5, 0.5)).sum() == 0
    assert plan([[0, 0], [5, 0]], (0.5, 0.5)).tolist() == [[0, 0], [1, 0]]


def test_the_plan_does_not_depend_on_the_order_of_the_samples():
    lengths, names = three_classes(), keys(600)
    shuffled = RNG.permutation(600)
    one = plan(lengths, (0.6, 0.1, 0.2, 0.1))
    other = plan(lengths[shuffled], (0.6, 0.1, 0.2, 0.1), names=[names[row] for row in shuffled])
    assert (other == one[shuffled]).all()


def test_another_seed_draws_others():
    lengths = np.full((100, 2), 10)
    one, other = plan(lengths, (0.5, 0.5)), plan(lengths, (0.5, 0.5), seed=1)
    assert one.sum(axis=0).tolist() == other.sum(axis=0).tolist() and (one != other).any()


@pytest.mark.parametrize("scarce", [0, 5, 20, 100])
def test_a_scarce_task_costs_no_sample_of_the_others(scarce):
    lengths = np.full((1000, 3), 100)
    lengths[scarce:, 2] = 0
    draws = plan(lengths, (0.4, 0.4, 0.2))
    assert draws[:, 2].sum() == min(4 * scarce, 200)
    assert draws.sum() == pytest.approx(1000, abs=2)
    assert draws[:, 0].sum() == pytest.approx(draws[:, 1].sum(), abs=2)
    assert (draws.sum(axis=1) == 0).sum() <= 4 * scarce
