"""Mixtures: exact quotas by epoch, evenly used, and refused by name where they make no sense."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest

from jobs.lm.mixture import Mixture, apportion, everything, make_mixture
from jobs.lm.options import TrainOptions
from pipeline.errors import RecipeError

NAMES = ("images", "text", "edits")
TASKS = np.repeat([0, 1, 2], [60, 30, 10])
LENGTHS = np.random.default_rng(0).integers(5, 100, 100).astype(np.uint32)


def mix(mixture: dict[str, float], by: str = "each", epoch_size: int = 0, seed: int = 0) -> Mixture:
    options = replace(TrainOptions(), mixture=mixture, mixture_by=by, epoch_size=epoch_size)
    return make_mixture(options, LENGTHS, TASKS, NAMES, seed)


def taken(mixture: Mixture, epoch: int) -> list[int]:
    """Sequences of each task."""
    return np.bincount(TASKS[mixture.draw(epoch)], minlength=3).tolist()


def test_without_a_mixture_every_epoch_takes_everything_once():
    for mixture in (everything(LENGTHS, 0), mix({}), mix({"text": 1.0})):
        assert sorted(mixture.draw(5).tolist()) == list(range(100))
        assert mixture.is_steady


def test_a_task_is_taken_as_often_as_its_weight_says():
    mixture = mix({"images": 2, "text": 0, "edits": 1.5})
    assert taken(mixture, 0) == [120, 0, 15]
    assert Counter(mixture.draw(0).tolist())[3] == 2
    assert mix({"text": 3}).is_steady
    assert not mixture.is_steady


def test_a_fraction_takes_others_in_each_epoch_until_all_had_their_turn():
    mixture = mix({"images": 0.25, "text": 0, "edits": 0})
    epochs = [mixture.draw(epoch).tolist() for epoch in range(8)]
    assert [len(epoch) for epoch in epochs] == [15] * 8
    assert sorted(chain(*epochs[:4])) == sorted(chain(*epochs[4:])) == list(range(60))
    assert sorted(epochs[0]) != sorted(epochs[4])
    assert mix({"images": 0.25}, seed=1).draw(0).tolist() != mix({"images": 0.25}).draw(0).tolist()


def test_no_sequence_is_ever_taken_more_than_once_oftener_than_another():
    mixture = mix({"images": 0.37, "text": 1.7, "edits": 0.01})
    counts = Counter()
    for epoch in range(12):
        counts.update(mixture.draw(epoch).tolist())
        for task in range(3):
            often = [counts[number] for number in np.flatnonzero(task == TASKS).tolist()]
            assert max(often) - min(often) <= 1
    assert sum(counts[number] for number in range(60)) == pytest.approx(0.37 * 60 * 12, abs=1)


def test_an_epoch_does_not_depend_on_those_before():
    weights = {"images": 0.7, "text": 1.3}
    mixture = mix(weights)
    for epoch in range(4):
        mixture.draw(epoch)
    assert mixture.draw(4).tolist() == mix(weights).draw(4).tolist()


def test_shares_by_samples_are_met_exactly():
    mixture = mix({"images": 1, "text": 1, "edits": 1}, "samples", epoch_size=100)
    for epoch in range(4):
        assert sorted(taken(mixture, epoch)) == [33, 33, 34]
    assert taken(mix({"images": 0, "text": 3, "edits": 1}, "samples"), 0) == [0, 30, 10], "as many as the two hold"


def test_shares_by_tokens_are_met_within_one_sequence_and_over_epochs_exactly():
    mixture = mix({"images": 0.5, "text": 0.25, "edits": 0.25}, "tokens", epoch_size=2000)
    totals = np.zeros(3)
    for epoch in range(6):
        numbers = mixture.draw(epoch)
        tokens = np.bincount(TASKS[numbers], weights=LENGTHS[numbers], minlength=3)
        assert abs(tokens - [1000, 500, 500]).max() < LENGTHS.max()
        totals += tokens
    assert abs(totals - 6 * np.array([1000, 500, 500])).max() < LENGTHS.max()
    whole = mix({"images": 1, "text": 0, "edits": 0}, "tokens")
    assert sorted(whole.draw(3).tolist()) == list(range(60))
    assert whole.is_steady


def test_counts_are_of_all_that_may_be_drawn():
    assert mix({"images": 0, "text": 0.1}).counts().tolist() == np.bincount(LENGTHS[60:]).tolist()


def test_the_largest_remainders_are_rounded_up():
    shares = {"a": Fraction(1, 2), "b": Fraction(3, 10), "c": Fraction(2, 10)}
    assert apportion(shares, 9) == {"a": 4, "b": 3, "c": 2}  # of 4.5, 2.7 and 1.8
    assert apportion(shares, 10) == {"a": 5, "b": 3, "c": 2}
    for total in range(50):
        amounts = apportion({"a": Fraction(1), "b": Fraction(1), "c": Fraction(5)}, total)
        assert sum(amounts.values()) == total
        assert all(abs(amounts[name] - total * share / 7) < 1 for name, share in (("a", 1), ("b", 1), ("c", 5)))


@pytest.mark.parametrize(
    "mixture, by, message",
    [
        ({"imagse": 1}, "each", r"no sequence of task 'imagse' to train on; there are edits, images, text"),
        ({"images": 0, "text": 0, "edits": 0}, "each", "leaves nothing to train on"),
        ({"images": 1, "text": 1}, "tokens", "by tokens, every task wants a share, 0 leaves it out; 'edits' has none"),
        ({"images": 1, "text": 1, "edits": 1, "depth": 1}, "samples", "no sequence of task 'depth'"),
    ],
)
def test_a_mixture_that_cannot_be_drawn_is_refused(mixture, by, message):
    with pytest.raises(RecipeError, match=message):
        mix(mixture, by)


def test_a_task_that_is_not_there_may_have_no_weight():
    assert taken(mix({"depth": 0, "images": 0}), 0) == [0, 30, 10]
