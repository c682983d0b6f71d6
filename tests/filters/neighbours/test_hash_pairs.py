"""The search finds every pair within the bound, and no other: proved against comparing all with all."""

from itertools import combinations

import numpy as np
import pytest

from filters.neighbours import hash_pairs
from filters.neighbours.hash_pairs import MAX_DISTANCE, choose_bands, near_pairs


def planted(num_items, num_hashes=1, seed=0):
    """Random hashes, two thirds of which are others with up to 8 bits turned over."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 1 << 64, (num_items, num_hashes), np.uint64)
    for item in range(num_items // 3, num_items):
        hashes[item] = hashes[rng.integers(item)]
        for bit in rng.choice(64, rng.integers(9), replace=False):
            hashes[item, rng.integers(num_hashes)] ^= np.uint64(1) << np.uint64(bit)
    return hashes


def found(hashes, groups, max_distance):
    return {tuple(sorted(pair)) for pairs in near_pairs(hashes, groups, max_distance) for pair in pairs.tolist()}


def compared_with_all(hashes, groups, max_distance):
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None]).max(axis=2)
    near = (distances <= max_distance) & (groups[:, None] == groups[None])
    return {(one, two) for one, two in np.argwhere(near).tolist() if one < two}


@pytest.mark.parametrize("max_distance", [0, 1, 4, 7])
@pytest.mark.parametrize("num_hashes", [1, 3])
def test_it_finds_what_comparing_all_with_all_finds(max_distance, num_hashes):
    hashes = planted(700, num_hashes)
    groups = np.random.default_rng(1).integers(0, 3, len(hashes)).astype(np.uint64) << np.uint64(40)
    expected = compared_with_all(hashes, groups, max_distance)
    assert found(hashes, groups, max_distance) == expected and len(expected) > 20 * max_distance


@pytest.mark.parametrize("bands", [5, 6, 7, 8])
def test_it_finds_them_with_any_number_of_bands(monkeypatch, bands):
    hashes, groups = planted(400, seed=bands), np.zeros(400, np.uint64)
    monkeypatch.setattr(hash_pairs, "choose_bands", lambda *_: bands)
    assert found(hashes, groups, 4) == compared_with_all(hashes, groups, 4)


def test_both_sides_of_the_bound_in_every_place():
    """Differences lie in one band, or as far apart as can be, at the edges of bands too."""
    for bits in [(0, 1, 2, 3), (60, 61, 62, 63), (11, 12, 25, 38), (0, 13, 26, 39), (12, 25, 38, 51)]:
        other = sum(1 << bit for bit in bits)
        hashes, groups = np.array([[0], [other]], np.uint64), np.zeros(2, np.uint64)
        assert found(hashes, groups, 4) == {(0, 1)} and found(hashes, groups, 3) == set()


def test_many_hashes_with_the_same_bands_are_all_compared():
    hashes = np.array([[a << 56 | b] for a in range(40) for b in range(20)], np.uint64)
    assert found(hashes, np.zeros(len(hashes), np.uint64), 2) == compared_with_all(hashes, np.zeros(len(hashes), np.uint64), 2)


def test_groups_whose_keys_meet_by_chance_stay_apart():
    """The second group's number is turned into 1, by which the hashes differ as well."""
    groups = np.array([0, pow(0x9E3779B97F4A7C15, -1, 1 << 64)], np.uint64)
    assert found(np.array([[0], [1]], np.uint64), groups, 4) == set()


def test_none_and_one_have_no_pairs():
    for num_items in (0, 1):
        assert not list(near_pairs(np.zeros((num_items, 1), np.uint64), np.zeros(num_items, np.uint64), 4))


def test_the_bands_part_64_bits_without_a_gap():
    for bands in range(1, MAX_DISTANCE + 5):
        masks = [hash_pairs._band_mask(band, bands) for band in range(bands)]
        assert sum(masks) == (1 << 64) - 1 and not any(one & two for one, two in combinations(masks, 2))


def test_more_hashes_want_longer_keys():
    assert choose_bands(1000, 4) == 5 < choose_bands(10_000_000, 4)
    assert all(choose_bands(1000, distance) > distance for distance in range(MAX_DISTANCE + 1))
