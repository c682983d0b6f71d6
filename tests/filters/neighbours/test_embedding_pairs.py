"""Pairs of near embeddings: all of them in small runs, nearly all in large ones, the same every time."""

import numpy as np
import pytest

from filters.neighbours import embedding_pairs
from filters.neighbours.embedding_pairs import near_pairs, unit


def planted(num_items, dimensions=32, seed=0):
    """float16, in clouds; a quarter are others, moved a little."""
    rng = np.random.default_rng(seed)
    clouds = rng.normal(size=(num_items // 20, dimensions))
    embeddings = clouds[rng.integers(len(clouds), size=num_items)] + rng.normal(size=(num_items, dimensions))
    quarter = num_items // 4
    embeddings[:quarter] = embeddings[quarter : 2 * quarter] + rng.normal(size=(quarter, dimensions)) * rng.uniform(0, 0.4, (quarter, 1))
    return unit(embeddings).astype(np.float16)


def found(embeddings, groups=None, min_cosine=0.97):
    groups = np.zeros(len(embeddings), np.uint64) if groups is None else groups
    return {tuple(sorted(pair)) for pairs in near_pairs(embeddings, groups, min_cosine) for pair in pairs.tolist()}


def compared_with_all(embeddings, groups=None, min_cosine=0.97):
    wide = embeddings.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    near = wide @ wide.T >= min_cosine
    if groups is not None:
        near &= groups[:, None] == groups[None]
    return {(one, two) for one, two in np.argwhere(near).tolist() if one < two}


@pytest.mark.parametrize("min_cosine", [0.9, 0.97, 0.999])
def test_a_small_run_is_searched_exactly(min_cosine):
    embeddings = planted(1500)
    groups = np.random.default_rng(2).integers(0, 2, len(embeddings)).astype(np.uint64)
    expected = compared_with_all(embeddings, groups, min_cosine)
    assert found(embeddings, groups, min_cosine) == expected and len(expected) > 10


def test_both_sides_of_the_bound():
    for cosine, pairs in ((0.9695, set()), (0.9705, {(0, 1)})):
        assert found(np.array([[1, 0], [cosine, (1 - cosine**2) ** 0.5]], np.float16)) == pairs


def test_a_large_run_is_searched_nearly_exactly_and_finds_nothing_else(monkeypatch):
    embeddings = planted(6000)
    expected = compared_with_all(embeddings)
    monkeypatch.setattr(embedding_pairs, "EXACT_UP_TO", 1000)
    one, two = found(embeddings), found(embeddings)
    assert one == two and one <= expected and len(one) >= 0.99 * len(expected) > 500


def test_blocks_of_queries_miss_nothing_at_their_edges(monkeypatch):
    embeddings = planted(300)
    monkeypatch.setattr(embedding_pairs, "QUERIES_AT_ONCE", 7)
    assert found(embeddings) == compared_with_all(embeddings)


def test_none_and_one_have_no_pairs():
    for num_items in (0, 1):
        assert not found(np.ones((num_items, 8), np.float16))
