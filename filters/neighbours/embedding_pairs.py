"""Pairs of embeddings whose cosine is high: exact for small runs, by an inverted file (IVF) of the `faiss` library for large ones.

The inverted file puts each embedding into the cell of its nearest centroid, and looks for neighbours in the PROBES nearest cells. It can
miss a pair that lies across cells; what it finds is right, for every cosine is computed again from the embeddings themselves.
`python -m benchmarks.duplicates`, 100,000 embeddings of 512 dimensions: all of 10,000 planted pairs are found, and all 398 pairs
that comparing 2000 of them with all others finds. Those embeddings are drawn; on real ones the recall has not been measured.

Shapes: N items, D dimensions, P pairs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

EXACT_UP_TO = 20_000  # items: 4 s on one core with 512 dimensions; the time grows with the square
PROBES = 8
TRAINING_ROUNDS = 5  # of k-means; with 10 no more pairs were found in the benchmark, and building took twice as long
TRAINED_ON = 40  # embeddings a centroid
QUERIES_AT_ONCE = 4096
SLACK = 1e-3  # by which faiss is asked for more: it computes in float16 and in an order of its own
SEED = 7


def near_pairs(embeddings_ND: np.ndarray, groups_N: np.ndarray, min_cosine: float) -> Iterator[np.ndarray]:
    """Pairs of items of the same group with a cosine of at least `min_cosine`; all of them up to EXACT_UP_TO items.

    The same for the same items in the same order: no dice, and k-means starts from a fixed seed.

    Args:
        embeddings_ND: float16.
        groups_N: uint64.

    Yields:
        [P, 2] int64, the numbers of two items; P > 0.
    """
    index = _flat(embeddings_ND) if len(embeddings_ND) <= EXACT_UP_TO else _inverted(embeddings_ND)
    for start in range(0, len(embeddings_ND), QUERIES_AT_ONCE):
        queries = unit(embeddings_ND[start : start + QUERIES_AT_ONCE])
        limits, _, found = index.range_search(queries, min_cosine - SLACK)
        one = np.repeat(np.arange(start, start + len(queries)), np.diff(limits.astype(np.int64)))
        wanted = (one != found) & (groups_N[one] == groups_N[found])  # both ways: an inverted file may see a pair from one side only
        for part in np.array_split(np.stack([one[wanted], found[wanted]], axis=1), wanted.sum() // QUERIES_AT_ONCE + 1):
            near = _cosines(embeddings_ND, part) >= min_cosine
            if near.any():
                yield part[near]


def unit(embeddings_ND: np.ndarray) -> np.ndarray:
    """float32 [N, D] of length 1."""
    wide = embeddings_ND.astype(np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def _cosines(embeddings_ND: np.ndarray, pairs_P2: np.ndarray) -> np.ndarray:
    """[P] float64, each from its two embeddings alone."""
    one, two = (embeddings_ND[side].astype(np.float64) for side in pairs_P2.T)
    cosines: np.ndarray = (one * two).sum(axis=1) / np.sqrt((one * one).sum(axis=1) * (two * two).sum(axis=1))
    return cosines


def _flat(embeddings_ND: np.ndarray) -> Any:
    import faiss

    index = faiss.IndexFlatIP(embeddings_ND.shape[1])
    if len(embeddings_ND):
        index.add(unit(embeddings_ND))
    return index


def _inverted(embeddings_ND: np.ndarray) -> Any:
    """4 sqrt(N) cells; embeddings in it as float16, as they were kept."""
    import faiss

    num_items, dimensions = embeddings_ND.shape
    num_cells = int(4 * num_items**0.5)
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimensions), dimensions, num_cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.seed, index.cp.niter, index.cp.spherical = SEED, TRAINING_ROUNDS, True
    lesson = np.linspace(0, num_items - 1, min(num_items, TRAINED_ON * num_cells)).astype(np.int64)  # evenly: items are sorted by bytes
    index.cp.max_points_per_centroid = TRAINED_ON
    index.train(unit(embeddings_ND[lesson]))
    for start in range(0, num_items, QUERIES_AT_ONCE):
        index.add(unit(embeddings_ND[start : start + QUERIES_AT_ONCE]))
    index.nprobe = PROBES
    return index
