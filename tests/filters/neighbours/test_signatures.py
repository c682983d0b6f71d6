"""Signatures: what goes into them, and how they come back."""

import numpy as np
import pyarrow as pa

from filters.neighbours.signatures import CONTEXT_BYTES, context, digest, distinct, matrices, words_of
from pipeline.samples import ImageRef, Sample, Turn


def test_a_digest_knows_where_its_parts_end():
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"]) != digest([b"abc"])
    assert len(context([])) == CONTEXT_BYTES


def test_words_are_the_dialogue_and_the_caption_where_it_counts():
    sample = Sample("a", "caption", turns=(Turn("user", ("what?", ImageRef("image"))),))
    assert list(words_of(sample, False)) == [b"user", b"text:what?", b"('image', None)"]
    assert list(words_of(sample, True))[-1] == b"caption"


def test_matrices_come_by_length_over_all_chunks_without_the_dead():
    column = pa.chunked_array(
        [pa.array([b"ab", None, b"xyz"], pa.binary()), pa.array([], pa.binary()), pa.array([b"cd", b"ef"], pa.binary())]
    )
    [(two_rows, two), (three_rows, three)] = matrices(column, np.array([True, True, True, False, True]))
    assert two_rows.tolist() == [0, 4] and [row.tobytes() for row in two] == [b"ab", b"ef"]
    assert three_rows.tolist() == [2] and three.tobytes() == b"xyz"
    assert list(matrices(column, np.zeros(5, bool))) == []


def test_distinct_rows_are_sorted_by_their_bytes_for_any_order_of_the_input():
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 3, (200, 3)).astype(np.uint8)
    items, item_of = distinct(matrix)
    assert np.array_equal(items[item_of], matrix)
    assert [row.tobytes() for row in items] == sorted({row.tobytes() for row in matrix})
    assert np.array_equal(distinct(matrix[::-1])[0], items)
