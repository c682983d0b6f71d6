"""A phrase asks, the picture with its boxes answers."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, Detection, ImageRef, Mark, Turn
from tests.tokenizer.tasks.samples import IMAGE, PICTURE, format_once, reason
from tokenizer.tasks.grounding import Grounding

APPLE = replace(PICTURE, detections=(Detection("The red apple.", (0.25, 0.25, 0.75, 0.5), 0.8),))


def test_the_box_is_drawn_on_the_answer_alone():
    marked = ImageRef("image", marks=(Mark((0.25, 0.25, 0.75, 0.5), "red", 6),))
    turns = (Turn("user", ("Detect: The red apple. ", IMAGE)), Turn("assistant", (marked,)))
    notes = {"phrase": "The red apple", "boxes": [[0.25, 0.25, 0.75, 0.5]]}
    assert format_once(Grounding(), APPLE) == Conversation("fox", "grounding", turns, notes)


def test_other_words_and_colours_by_option():
    result = format_once(Grounding(wordings=("<|image|> Where is {phrase}?",), color="blue", width=2), APPLE)
    assert result.turns[0].content == (IMAGE, " Where is The red apple?")
    assert result.turns[1].content[0].marks[0].color == "blue"


def test_a_sample_without_detections_is_left_out():
    assert reason(format_once(Grounding(), PICTURE)) == "no_detection"


def test_the_same_dice_give_the_same_boxes():
    two = replace(APPLE, detections=(*APPLE.detections, Detection("a leaf", (0.0, 0.0, 0.5, 0.5), 0.9)))
    first = [format_once(Grounding(), two, seed=seed) for seed in range(20)]
    assert first == [format_once(Grounding(), two, seed=seed) for seed in range(20)]
    assert {result.notes["phrase"] for result in first} == {"The red apple", "a leaf"}


def test_wordings_want_the_phrase():
    with pytest.raises(ValueError, match=r"\{phrase\}"):
        Grounding(wordings=("Detect it. <|image|>",))
