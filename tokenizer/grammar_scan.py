"""The grammar of many sequences at once, by numpy over a shard's flat arrays. `grammar.check_sequence` says the same in words, one by one.

What is not a code is a few in a hundred tokens, so one pass looks up what every id is, and all the rest is done on the few:

* an image keeps the grammar when its head, its line breaks and its end stand where its size says and nothing else in it is not a code;
* a sequence holds nothing stray when it has as many codes, sizes, line breaks, starts and ends as its images need;
* loss falls on every second turn, so the edges of the loss spans are the places after the end-of-turn tokens.

T tokens of N sequences with J images.
"""

from dataclasses import dataclass

import numpy as np

from tokenizer.layout import NUM_HEAD, PIXELS_PER_CODE, PIXELS_PER_GRID
from tokenizer.vocab import Vocab

TEXT, CODE, ROW_END, SIZE, START, END, TURN_END, BOS, OUTSIDE = range(9)  # what an id is
NUM_KINDS = 9


@dataclass(frozen=True, slots=True)
class FlatSequences:
    """Sequences laid end to end, as a shard stores them."""

    ids: np.ndarray  # [T] uint16 or uint32
    offsets: np.ndarray  # [N + 1] where each sequence begins in `ids`, not empty and not decreasing
    spans: np.ndarray  # edges of all loss spans, relative to their sequence
    span_offsets: np.ndarray  # [N + 1] in `spans`
    image_starts: np.ndarray  # [J] relative to their sequence
    image_heights: np.ndarray  # [J] pixels
    image_widths: np.ndarray  # [J] pixels
    image_offsets: np.ndarray  # [N + 1] in the image arrays


def kinds_of_ids(vocab: Vocab, dtype: np.dtype) -> np.ndarray:
    """[65536] or [size + 1] uint8: what an id is; ids outside the vocabulary are OUTSIDE, the last entry stands for all above it."""
    kinds = np.full(max(vocab.size + 1, 1 << 16 if dtype == np.uint16 else 0), OUTSIDE, np.uint8)
    kinds[: vocab.size] = TEXT
    kinds[list(vocab.sizes)] = SIZE
    kinds[list(vocab.codes)] = CODE
    for token_id, kind in (
        (vocab.end_of_row, ROW_END),
        (vocab.start_of_image, START),
        (vocab.end_of_image, END),
        (vocab.end_of_turn, TURN_END),
        (vocab.bos, BOS),
    ):
        kinds[token_id] = kind
    return kinds


def find_suspects(flat: FlatSequences, vocab: Vocab) -> np.ndarray:
    """Which sequences break the grammar: [N] bool. `grammar.check_sequence` finds words for each of them, and none for the others."""
    num = len(flat.offsets) - 1
    kinds = kinds_of_ids(vocab, flat.ids.dtype)
    begin, end = flat.offsets[:-1].astype(np.int64), flat.offsets[1:].astype(np.int64)
    ids = flat.ids[begin[0] : end[-1]] if num else flat.ids[:0]
    base = begin[0] if num else 0
    begin, end = begin - base, end - base
    kind_of = kinds[ids] if ids.dtype == np.uint16 else kinds[np.minimum(ids, len(kinds) - 1)]

    places = np.flatnonzero(kind_of != CODE)  # the few
    first = np.searchsorted(places, begin)
    owner = np.repeat(np.arange(num), np.diff(np.append(first, len(places))))
    counts = np.bincount(owner * NUM_KINDS + kind_of[places], minlength=num * NUM_KINDS).reshape(num, NUM_KINDS)
    counts[:, CODE] = end - begin - counts.sum(axis=1)

    bad = (end == begin) | (counts[:, OUTSIDE] > 0) | (counts[:, BOS] != 1)
    filled = ~bad
    bad[filled] |= (kind_of[begin[filled]] != BOS) | (kind_of[end[filled] - 1] != TURN_END)
    bad |= _image_suspects(flat, vocab, ids, (begin, end), places, counts)
    bad |= _span_suspects(flat, places[kind_of[places] == TURN_END], begin, counts[:, TURN_END])
    return bad


def _image_suspects(
    flat: FlatSequences, vocab: Vocab, ids: np.ndarray, edges: tuple[np.ndarray, np.ndarray], places: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """[N] sequences with a broken image, one on top of another, or image tokens outside of all images."""
    begin, end = edges
    num = len(begin)
    owner = np.repeat(np.arange(num), np.diff(flat.image_offsets))
    few = slice(int(flat.image_offsets[0]), int(flat.image_offsets[-1]))
    height, width = flat.image_heights[few].astype(np.int64), flat.image_widths[few].astype(np.int64)
    H, W = height // PIXELS_PER_CODE, width // PIXELS_PER_CODE
    length = H * (W + 1) + NUM_HEAD + 1
    start = flat.image_starts[few].astype(np.int64) + begin[owner]
    stop = start + length

    good = (height > 0) & (width > 0) & (height % PIXELS_PER_GRID == 0) & (width % PIXELS_PER_GRID == 0)
    good &= np.maximum(height, width) // PIXELS_PER_GRID < len(vocab.sizes)
    good &= stop <= end[owner]
    good[1:] &= (owner[1:] != owner[:-1]) | (start[1:] >= stop[:-1])
    bad = np.zeros(num, bool)
    bad[owner[~good]] = True

    owner, start, stop, H, W = (array[good] for array in (owner, start, stop, H, W))
    sizes = np.array(vocab.sizes)
    whole = (ids[start] == vocab.start_of_image) & (ids[stop - 1] == vocab.end_of_image)
    whole &= (ids[start + 1] == sizes[H * PIXELS_PER_CODE // PIXELS_PER_GRID]) & (
        ids[start + 2] == sizes[W * PIXELS_PER_CODE // PIXELS_PER_GRID]
    )
    image_of = np.repeat(np.arange(len(H)), H)  # of each row
    row = np.arange(len(image_of)) - np.repeat(np.cumsum(H) - H, H)
    breaks = start[image_of] + NUM_HEAD + row * (W[image_of] + 1) + W[image_of]
    whole[image_of[ids[breaks] != vocab.end_of_row]] = False
    whole &= np.searchsorted(places, stop) - np.searchsorted(places, start) == H + NUM_HEAD + 1  # all others in it are codes
    bad[owner[~whole]] = True

    needed = np.zeros((num, NUM_KINDS), np.int64)
    for kind, each in ((CODE, H * W), (ROW_END, H), (SIZE, np.full_like(H, 2)), (START, np.ones_like(H)), (END, np.ones_like(H))):
        needed[:, kind] = np.bincount(owner, each, minlength=num).astype(np.int64)
    images = [CODE, ROW_END, SIZE, START, END]
    return bad | (needed[:, images] != counts[:, images]).any(axis=1)


def _span_suspects(flat: FlatSequences, turn_ends: np.ndarray, begin: np.ndarray, num_turns: np.ndarray) -> np.ndarray:
    """[N] sequences whose loss spans are not the assistant's turns, or that have none."""
    num = len(begin)
    wanted = num_turns - num_turns % 2  # edges: a user's last turn takes no part
    bad = (np.diff(flat.span_offsets) != wanted) | (wanted == 0)
    wanted[bad] = 0
    sequence = np.repeat(np.arange(num), wanted)
    rank = np.arange(len(sequence)) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    first_turn = np.cumsum(num_turns) - num_turns
    edges = turn_ends[first_turn[sequence] + rank] + 1 - begin[sequence]
    bad[sequence[edges != flat.spans[flat.span_offsets[:-1].astype(np.int64)[sequence] + rank]]] = True
    return bad
