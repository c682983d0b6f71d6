"""Conversations become the golden ids, spans and prompts."""

import numpy as np
import pytest

from pipeline.samples import IGNORE_INDEX, Conversation, ImageRef, Turn
from tokenizer.layout import ids_to_image
from tokenizer.sequence import fill, generation_prompt, outline

IMAGE = "<|image|>"
ROLES = {"human": "user", "gpt": "assistant"}


def golden_conversation(item, golden, vocab):
    """Turns with images at their places, and the golden codes of each image."""
    known = {image["image"]: np.array(image["input_ids"]) for image in golden["images"]}
    refs = [ImageRef(f"image_{number}") for number in range(len(item["images"]))]
    codes = {ref: ids_to_image(known[name], vocab) for ref, name in zip(refs, item["images"], strict=True)}
    values = [turn["value"] for turn in item["conversations"]]
    if refs and not any(IMAGE in value for value in values):
        values[0] = f"{IMAGE} " * len(refs) + values[0]
    left = iter(refs)
    turns = []
    for turn, value in zip(item["conversations"], values, strict=True):
        first, *rest = value.split(IMAGE)
        parts = [first, *(part for words in rest for part in (next(left), words))]
        turns.append(Turn(ROLES[turn["from"]], tuple(part for part in parts if part != "")))
    return tuple(turns), codes


def sizes(codes) -> dict[ImageRef, tuple[int, int]]:
    return {ref: (codes_HW.shape[1] * 16, codes_HW.shape[0] * 16) for ref, codes_HW in codes.items()}


def test_every_golden_conversation_comes_out_to_the_id(golden, text):
    for item in golden["conversations"]:
        turns, codes = golden_conversation(item, golden, text.vocab)
        outlined = outline(Conversation(item["name"], "conversation", turns), sizes(codes), text)
        sequence = fill(outlined, [codes[slot.ref] for slot in outlined.slots], text, caption="", metadata={})
        assert sequence.input_ids.tolist() == item["input_ids"], item["name"]
        assert [list(span) for span in sequence.loss_spans] == item["loss_spans"], item["name"]
        assert outlined.length == len(item["input_ids"])
        assert sequence.input_ids.dtype == np.uint16


def test_every_golden_generation_prompt_comes_out_to_the_id(golden, text):
    for item in golden["conversations"]:
        turns, codes = golden_conversation(item, golden, text.vocab)
        assert generation_prompt(turns, codes, text).tolist() == item["generation_prompt"], item["name"]
        assert generation_prompt(turns[:-1], codes, text).tolist() == item["generation_prompt"], item["name"]


def test_labels_equal_ids_inside_the_spans_and_nothing_outside(golden, text):
    item = golden["conversations"][0]
    turns, codes = golden_conversation(item, golden, text.vocab)
    outlined = outline(Conversation("a", "b", turns), sizes(codes), text)
    sequence = fill(outlined, [codes[slot.ref] for slot in outlined.slots], text, caption="c", metadata={"d": 1})
    labels = sequence.labels
    assert (labels[:29] == IGNORE_INDEX).all()
    assert (labels[29:] == sequence.input_ids[29:]).all()
    assert sequence.num_loss_tokens == 306 - 29
    assert (sequence.key, sequence.task, sequence.caption, sequence.metadata) == ("a", "b", "c", {"d": 1})


def test_neighbouring_strings_are_encoded_as_one_text(text):
    one = outline(Conversation("a", "b", (Turn("user", ("the following prompt",)), Turn("assistant", ("x",)))), {}, text)
    two = outline(Conversation("a", "b", (Turn("user", ("the foll", "owing prompt")), Turn("assistant", ("x",)))), {}, text)
    assert one.text_ids == two.text_ids


def test_a_picture_shown_twice_is_laid_out_twice(text):
    image = ImageRef("image")
    turns = (Turn("user", (image, "and", image)), Turn("assistant", ("x",)))
    outlined = outline(Conversation("a", "b", turns), {image: (64, 32)}, text)
    assert [slot.start for slot in outlined.slots] == [1, 1 + 14 + len(text.encode("and"))]


def test_turns_are_ended_even_when_they_are_empty(text):
    outlined = outline(Conversation("a", "b", (Turn("user", ()), Turn("assistant", ()))), {}, text)
    assert fill(outlined, [], text, caption="", metadata={}).input_ids.tolist() == [0, 8710, 8710]
    assert outlined.loss_spans == ((2, 3),)


def test_codes_that_do_not_fill_their_slot_are_refused(text):
    image = ImageRef("image")
    outlined = outline(Conversation("a", "b", (Turn("user", ("x",)), Turn("assistant", (image,)))), {image: (64, 32)}, text)
    with pytest.raises(ValueError, match="do not fill an image of 32 x 64 pixels"):
        fill(outlined, [np.zeros((4, 4), int)], text, caption="", metadata={})
    with pytest.raises(ValueError):
        fill(outlined, [], text, caption="", metadata={})


def test_an_open_answer_is_left_out_of_the_prompt(text):
    turns = (Turn("user", ("Name a prime.",)), Turn("assistant", ("7.",)), Turn("user", ("More?",)))
    prompt = generation_prompt(turns, {}, text)
    assert prompt[-1] == text.vocab.end_of_turn
    assert (prompt == text.vocab.end_of_turn).sum() == 3
