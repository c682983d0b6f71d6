"""All pairs of 64-bit hashes that differ in few bits: exact, and quick for millions.

Of the 64 bits cut into b bands, d differing bits spoil at most d: two hashes within d agree on at least b - d bands. So for every choice of
b - d bands the hashes are sorted by the bits in them, and only those with the same bits are compared. Few bands make few rounds, many make
long keys with few chance meetings: `choose_bands` takes what is cheapest for the number of hashes.

Source: multi-index hashing, Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (CVPR 2012), section 2;
choosing several bands of more: Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling" (WWW 2007), section 3.

Shapes: N items, K hashes an item, P pairs.
"""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np

BITS = 64
MAX_DISTANCE = 12  # bits; beyond, a hundred thousand unrelated pictures meet by chance, and the rounds become too many
COST_OF_SORTING = 10  # comparisons that one hash costs in a round before it is compared: measured at 100,000 and at a million


def near_pairs(hashes_NK: np.ndarray, groups_N: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    """Every pair of items of the same group of which each of the K hashes is within `max_distance` bits of the other's.

    Args:
        hashes_NK: uint64. Items agree in K.
        groups_N: uint64.

    Yields:
        [P, 2] int64, the numbers of two items; P > 0. A pair may come more than once.
    """
    bands = choose_bands(len(hashes_NK), max_distance)
    for chosen in combinations(range(bands), bands - max_distance):
        mask = np.uint64(sum(_band_mask(band, bands) for band in chosen))
        keys = (hashes_NK[:, 0] & mask) ^ (groups_N * np.uint64(0x9E3779B97F4A7C15))  # a chance meeting is found out below
        order = np.argsort(keys)
        for first, second in _meetings(keys[order]):
            one, two = order[first], order[second]
            near = groups_N[one] == groups_N[two]
            for hashes_N in hashes_NK.T:
                near &= np.bitwise_count(hashes_N[one] ^ hashes_N[two]) <= max_distance
            if near.any():
                yield np.stack([one[near], two[near]], axis=1)


def choose_bands(num_items: int, max_distance: int) -> int:
    """The number of bands that makes the least work, if hashes were dice."""

    def cost(bands: int) -> float:
        meetings = num_items / 2 / 2 ** (BITS * (bands - max_distance) / bands)
        return math.comb(bands, max_distance) * (COST_OF_SORTING + meetings)

    return min(range(max_distance + 1, max_distance + 5), key=cost)


def _band_mask(band: int, bands: int) -> int:
    start, stop = BITS * band // bands, BITS * (band + 1) // bands
    return (1 << stop) - (1 << start)


def _meetings(keys_N: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of places with equal keys in sorted keys: first neighbours, then those two apart, ... No more memory than N."""
    starts = np.flatnonzero(np.diff(keys_N)) + 1
    ends = np.repeat(np.append(starts, len(keys_N)), np.diff(starts, prepend=0, append=len(keys_N)))  # [N] where each one's run ends
    first = np.arange(len(keys_N))
    apart = 1
    while len(first := first[first + apart < ends[first]]):
        yield first, first + apart
        apart += 1
