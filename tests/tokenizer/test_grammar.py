"""The sampler's schedule is the tokenizer's layout, and the check of a sequence says what is wrong."""

import numpy as np
import pytest

from pipeline.samples import ImageSpan
from tokenizer.grammar import Slot, check_sequence, find_images, find_loss_spans, forced_id, image_slots
from tokenizer.layout import image_to_ids


def golden_parts(item, vocab):
    ids = np.array(item["input_ids"], vocab.dtype)
    return ids, [tuple(span) for span in item["loss_spans"]], find_images(ids, vocab)


@pytest.mark.parametrize("height, width", [(32, 32), (64, 96), (512, 256)])
def test_what_the_schedule_forces_is_what_the_tokenizer_writes(vocab, height, width):
    codes_HW = np.random.default_rng(0).integers(0, 8192, (height // 16, width // 16))
    ids, slots = image_to_ids(codes_HW, vocab), image_slots(height, width)
    assert len(slots) == len(ids)
    for token_id, slot in zip(ids, slots, strict=True):
        forced = forced_id(slot, height, width, vocab)
        assert forced == token_id if slot != Slot.CODE else forced is None
    assert (slots == Slot.CODE).sum() == codes_HW.size


def test_golden_conversations_keep_the_grammar(vocab, golden):
    for item in golden["conversations"]:
        ids, spans, images = golden_parts(item, vocab)
        assert len(images) == len(item["images"])
        assert find_loss_spans(ids, vocab) == tuple(spans)
        assert check_sequence(ids, spans, images, vocab) == []


def test_images_are_found_with_their_sizes(vocab, golden):
    item = next(item for item in golden["conversations"] if item["name"] == "multi_turn_edit")
    sizes = [(image.width, image.height) for image in golden_parts(item, vocab)[2]]
    assert sizes == [(256, 256), (288, 192), (288, 192)]


def test_a_users_last_turn_takes_no_loss(vocab):
    turn = vocab.end_of_turn
    assert find_loss_spans(np.array([0, 20_000, turn, 20_001, turn, 20_002, turn]), vocab) == ((3, 5),)
    assert find_loss_spans(np.array([0, 20_000, turn]), vocab) == ()


def edit(name: str, position: int, token_id: int, golden, vocab) -> list[str]:
    ids, spans, images = golden_parts(next(item for item in golden["conversations"] if item["name"] == name), vocab)
    ids[position] = token_id
    return check_sequence(ids, spans, images, vocab)


@pytest.mark.parametrize(
    "position, token_id, words",
    [
        (0, 20_000, "begin-of-sequence"),
        (5, 0, "begin-of-sequence"),
        (-1, 20_000, "not in end-of-turn"),
        (30, 8813, "image 0 at 29"),
        (40, 8803, "is no image code"),
        (304, 20_000, "where the image should end"),
        (5, 8196, "belongs inside an image"),
        (5, 4, "belongs inside an image"),
        (5, 8804, "belongs inside an image"),
        (5, 60_000, "id 60000 is outside the vocabulary"),
        (5, 8710, "are not the assistant's turns"),
    ],
)
def test_one_wrong_id_is_found_and_described(golden, vocab, position, token_id, words):
    assert any(words in problem for problem in edit("text_to_image", position, token_id, golden, vocab))


@pytest.mark.parametrize(
    "spans, words",
    [
        ([], "no token takes loss"),
        ([(29, 29)], "is empty"),
        ([(29, 307)], "past the end at 306"),
        ([(28, 306)], "are not the assistant's turns"),
        ([(29, 305)], "are not the assistant's turns"),
        ([(1, 29), (29, 306)], "are not the assistant's turns"),
        ([(29, 306), (1, 5)], "out of order"),
    ],
)
def test_wrong_loss_spans_are_found_and_described(golden, vocab, spans, words):
    ids, _, images = golden_parts(golden["conversations"][0], vocab)
    assert any(words in problem for problem in check_sequence(ids, spans, images, vocab))


@pytest.mark.parametrize(
    "images, words",
    [
        ([], "no stored image covers it"),
        ([ImageSpan(28, 256, 256)], "does not begin with start-of-image"),
        ([ImageSpan(29, 256, 288)], "announced"),
        ([ImageSpan(29, 257, 256)], "stored is (257, 256)"),
        ([ImageSpan(29, 256, 256), ImageSpan(29, 256, 256)], "overlaps another one"),
        ([ImageSpan(300, 256, 256)], "does not begin with start-of-image"),
    ],
)
def test_image_spans_that_disagree_with_the_ids_are_found(golden, vocab, images, words):
    ids, spans, _ = golden_parts(golden["conversations"][0], vocab)
    assert any(words in problem for problem in check_sequence(ids, spans, images, vocab))


def test_a_stored_size_of_the_same_length_is_not_mistaken_for_the_announced_one(vocab):
    ids = np.concatenate([[0], image_to_ids(np.zeros((2, 8), int), vocab), [8710], [20_000, 8710]]).astype(np.uint16)
    spans = [(len(ids) - 2, len(ids))]
    assert check_sequence(ids, spans, [ImageSpan(1, 32, 128)], vocab) == []
    [problem] = check_sequence(ids, spans, [ImageSpan(1, 96, 32)], vocab)  # 6 rows of 3 are as long as 2 of 9
    assert "its size tokens say (32, 128), stored is (96, 32)" in problem


def test_an_empty_sequence_says_so(vocab):
    assert check_sequence(np.empty(0, np.uint16), [], [], vocab) == ["the sequence is empty"]
