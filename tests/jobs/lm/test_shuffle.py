"""Seeded orders: complete, by class, and the same for ever."""

import numpy as np
import pytest

from jobs.lm import shuffle
from jobs.lm.shuffle import permutation, shuffled_by_class, word


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 256, 257, 5000])
def test_every_number_comes_once(count):
    assert sorted(permutation(count, 1, 2).tolist()) == list(range(count))


def test_an_order_never_changes():
    assert permutation(10, 7, 3).tolist() == [7, 1, 9, 6, 0, 4, 2, 8, 3, 5]
    assert word("windows") == 3750759633128623602


def test_other_words_give_other_orders_whatever_their_place():
    orders = [permutation(50, *words).tolist() for words in ((1, 2), (2, 1), (1, 2, 3), (1,))]
    assert all(orders[a] != orders[b] for a in range(4) for b in range(a))


def test_classes_come_one_after_the_other_and_are_shuffled_inside():
    classes = np.random.default_rng(0).integers(0, 5, 2000)
    numbers = shuffled_by_class(classes, 5, 1)
    assert sorted(numbers.tolist()) == list(range(2000))
    assert (np.diff(classes[numbers]) >= 0).all()
    inside = numbers[classes[numbers] == 2]
    assert (np.diff(inside.astype(int)) < 0).mean() == pytest.approx(0.5, abs=0.1)


def test_every_place_is_as_likely():
    first = [int(permutation(4, seed)[0]) for seed in range(2000)]
    assert np.bincount(first).tolist() == pytest.approx([500] * 4, rel=0.15)


def test_the_pieces_leave_no_trace(monkeypatch):
    classes = np.arange(100) % 3
    whole = shuffled_by_class(classes, 3, 5).tolist()
    monkeypatch.setattr(shuffle, "PIECE", 7)
    assert shuffled_by_class(classes, 3, 5).tolist() == whole


def test_a_key_without_random_bits_is_refused():
    with pytest.raises(ValueError, match="too few random bits"):
        shuffled_by_class(np.zeros(1 << 10), 1 << 40, 0)
