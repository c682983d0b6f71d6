"""The fast check of whole shards finds exactly what the slow one finds."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from jobs.inspection.flat import cut_rows, open_flat
from pipeline.samples import Conversation, ImageRef, ImageSpan, TokenSequence, Turn
from pipeline.shards.schema import token_table
from tests.token_output import make_sequence, text_sequence, text_to_image_sequence
from tokenizer.grammar import check_sequence
from tokenizer.grammar_scan import find_suspects
from tokenizer.text import TextTokenizer

A, B = ImageRef("a"), ImageRef("b")


def edit_sequence(key: str, text: TextTokenizer, rng: np.random.Generator) -> TokenSequence:
    """Two pictures of different sizes, two rounds."""
    turns = (
        Turn("user", ("Make it blue. ", A)),
        Turn("assistant", (B,)),
        Turn("user", ("Why?",)),
        Turn("assistant", ("Because ", A, " was not.")),
    )
    return make_sequence(Conversation(key, "editing", turns), {A: (64, 32), B: (32, 96)}, text, rng)


def good_sequences(text: TextTokenizer, rng: np.random.Generator) -> list[TokenSequence]:
    return [
        text_to_image_sequence("one", "a red fox", text, rng),
        text_sequence("two", "Name a prime.", "7.", text),
        edit_sequence("three", text, rng),
    ]


def damage(sequence: TokenSequence, rng: np.random.Generator, text: TextTokenizer) -> TokenSequence:
    """One random thing is changed; it may still be right."""
    ids, spans, images, vocab = sequence.input_ids.copy(), list(sequence.loss_spans), list(sequence.images), text.vocab
    special = [vocab.bos, vocab.start_of_image, vocab.end_of_image, vocab.end_of_turn, vocab.end_of_row, vocab.sizes[2], vocab.sizes[0]]
    special += [vocab.codes[5], 16_500, vocab.size, 65_535]
    match rng.integers(0, 9):
        case 0:  # any id becomes another one
            ids[rng.integers(len(ids))] = rng.choice(special)
        case 1:  # two ids change places
            i, j = rng.integers(len(ids), size=2)
            ids[[i, j]] = ids[[j, i]]
        case 2:  # an id is lost
            ids = np.delete(ids, rng.integers(len(ids)))
        case 3:  # an id comes in
            ids = np.insert(ids, rng.integers(len(ids) + 1), rng.choice(special[:-1])).astype(ids.dtype)
        case 4:  # a span's edge moves
            i = rng.integers(len(spans))
            start, stop = spans[i]
            spans[i] = (max(0, start + int(rng.integers(-2, 3))), stop + int(rng.integers(-2, 3)))
        case 5:  # a span is lost, or comes twice
            spans = spans[1:] if rng.random() < 0.5 else [*spans, spans[0]]
        case 6 if images:  # an image's entry changes
            i = rng.integers(len(images))
            height, width = (side + int(rng.choice([-32, -16, 0, 0, 1, 32])) for side in (images[i].height, images[i].width))
            images[i] = ImageSpan(max(0, images[i].start + int(rng.integers(-1, 2))), max(0, height), max(0, width))
        case 7 if images:  # an image's entry is lost, doubled, or out of order
            images = [images[1:], [*images, images[0]], images[::-1]][rng.integers(3)]
        case 8 if images:  # sides change places
            images[0] = ImageSpan(images[0].start, images[0].width, images[0].height)
    return replace(sequence, input_ids=ids, loss_spans=tuple(spans), images=tuple(images))


def suspects(sequences: list[TokenSequence], text: TextTokenizer) -> list[bool]:
    return find_suspects(open_flat(token_table(sequences, text.vocab.dtype), "shard"), text.vocab).tolist()


def is_wrong(sequence: TokenSequence, text: TextTokenizer) -> bool:
    return bool(check_sequence(sequence.input_ids, sequence.loss_spans, sequence.images, text.vocab))


def test_good_sequences_are_no_suspects(text):
    assert suspects(good_sequences(text, np.random.default_rng(0)), text) == [False, False, False]


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_the_slow_check_on_sequences_damaged_at_random(text, seed):
    rng = np.random.default_rng(seed)
    sequences = [damage(sequence, rng, text) for _ in range(60) for sequence in good_sequences(text, rng)]
    sequences = [damage(sequence, rng, text) if rng.random() < 0.2 and len(sequence.loss_spans) > 0 else sequence for sequence in sequences]
    wanted = [is_wrong(sequence, text) for sequence in sequences]
    assert 0 < sum(wanted) < len(wanted)
    assert suspects(sequences, text) == wanted


def test_an_empty_sequence_is_a_suspect_and_does_not_hide_its_neighbours(text):
    good = good_sequences(text, np.random.default_rng(1))
    empty = TokenSequence("empty", "none", np.empty(0, np.uint16), ())
    broken = replace(good[0], input_ids=np.append(good[0].input_ids, text.vocab.bos).astype(np.uint16))
    assert suspects([empty, good[0], empty, broken, good[1], empty], text) == [True, False, True, True, False, True]


def test_no_sequences_at_all_give_no_suspects(text):
    assert suspects([], text) == []


def test_an_image_that_equals_another_shape_in_length_is_a_suspect(text):
    rng = np.random.default_rng(2)
    good = text_to_image_sequence("a", "b", text, rng, height=32, width=128)  # 2 rows of 9 with their break
    [image] = good.images
    lying = replace(good, images=(ImageSpan(image.start, 96, 32),))  # 6 rows of 3: as long
    assert is_wrong(lying, text)
    assert suspects([good, lying], text) == [False, True]


def test_a_cut_of_rows_gives_the_same_answer_as_the_whole(text):
    rng = np.random.default_rng(3)
    sequences = [damage(sequence, rng, text) for _ in range(10) for sequence in good_sequences(text, rng)]
    flat = open_flat(token_table(sequences, text.vocab.dtype), "shard")
    whole = find_suspects(flat, text.vocab).tolist()
    parts = [find_suspects(cut_rows(flat, start, start + 7), text.vocab) for start in range(0, 28, 7)]
    assert np.concatenate(parts).tolist() == whole[:28]


def test_wide_ids_are_checked_too(text):
    sequences = good_sequences(text, np.random.default_rng(4))
    outside = replace(sequences[0], input_ids=np.append(sequences[0].input_ids.astype(np.uint32), 4_000_000_000))
    table = token_table([*sequences, outside], np.dtype(np.uint32))
    assert table.schema.field("input_ids").type == pa.list_(pa.uint32())
    assert find_suspects(open_flat(table, "shard"), text.vocab).tolist() == [False, False, False, True]
