"""The picture with a box asks, the phrase answers."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, Detection, ImageRef, Mark, Turn
from tests.tokenizer.tasks.samples import PICTURE, format_once, reason
from tokenizer.tasks.referring import Referring

BOXES = ((0.25, 0.25, 0.75, 0.5), (0.25, 0.5, 0.75, 1.0))
APPLES = replace(PICTURE, detections=tuple(Detection("a red apple.", box, 0.8) for box in BOXES))


def test_the_box_is_drawn_on_the_question():
    sample = replace(APPLES, detections=APPLES.detections[:1])
    marked = ImageRef("image", marks=(Mark(BOXES[0], "red", 6),))
    turns = (Turn("user", ("What is in the box? ", marked)), Turn("assistant", ("a red apple",)))
    notes = {"phrase": "a red apple", "boxes": [list(BOXES[0])]}
    assert format_once(Referring(), sample) == Conversation("fox", "referring", turns, notes)


def test_one_box_is_drawn_of_several_and_all_by_option():
    drawn = [format_once(Referring(), APPLES, seed=seed).turns[0].content[1].marks for seed in range(100)]
    assert {tuple(mark.box for mark in marks) for marks in drawn} == {BOXES[:1], BOXES[1:]}
    result = format_once(Referring(all_boxes=True, wordings=("What is in the boxes? <|image|>",)), APPLES)
    assert tuple(mark.box for mark in result.turns[0].content[1].marks) == BOXES


def test_a_sample_without_detections_is_left_out():
    assert reason(format_once(Referring(), PICTURE)) == "no_detection"


def test_a_colour_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="color"):
        Referring(color="reddish")
