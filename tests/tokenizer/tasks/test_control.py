"""One of the sample's maps is drawn, asks with the caption, and is noted."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, ImageRef, Pose, Turn
from tests.tokenizer.tasks.samples import IMAGE, PICTURE, format_once, framing, reason
from tokenizer.tasks.control import CONDITIONS, Control

WORDS = "Generate an image according to the provided image, and according to the following caption:\na red fox "
ALL = {role: framing() for role in ("image", *CONDITIONS)}
STORED = replace(PICTURE, images={"image": b"picture", "pose": b"skeleton"})


def test_a_map_and_the_caption_ask():
    turns = (Turn("user", (WORDS, ImageRef("depth"))), Turn("assistant", (IMAGE,)))
    wanted = Conversation("fox", "control", turns, {"condition": "depth"})
    assert format_once(Control(), PICTURE, {"image": framing(), "depth": framing()}) == wanted


def test_every_map_that_is_there_is_drawn_as_often():
    results = [format_once(Control(), STORED, ALL, seed) for seed in range(1400)]
    drawn = [result.notes["condition"] for result in results]
    assert all(result.turns[0].content[1] == ImageRef(name) for result, name in zip(results, drawn, strict=True))
    assert all(150 < drawn.count(name) < 250 for name in CONDITIONS)


def test_only_the_maps_of_the_option_are_drawn():
    task = Control(conditions=("canny", "depth"))
    assert {format_once(task, STORED, ALL, seed).notes["condition"] for seed in range(50)} == {"canny", "depth"}


def test_maps_that_do_not_line_up_are_not_drawn():
    framings = ALL | {name: framing(is_aligned=False) for name in CONDITIONS if name != "hed"}
    assert {format_once(Control(), STORED, framings, seed).notes["condition"] for seed in range(20)} == {"hed"}


def test_a_drawn_pose_that_shows_nobody_is_not_drawn():
    nobody = replace(PICTURE, poses=(Pose(((0.5, 0.5, 1.0),) * 5),))
    somebody = replace(PICTURE, poses=(Pose(((0.5, 0.5, 1.0),) * 6),))
    framings = {"image": framing(), "pose": framing()}
    assert reason(format_once(Control(conditions=("pose",)), nobody, framings)) == "no_person_in_crop"
    assert format_once(Control(conditions=("pose",)), somebody, framings).notes == {"condition": "pose"}
    assert reason(format_once(Control(conditions=("pose",), min_points=7), somebody, framings)) == "no_person_in_crop"
    assert reason(format_once(Control(), nobody, framings)) == "no_condition"


def test_what_cannot_be_used_is_left_out_with_its_reason():
    assert reason(format_once(Control(), PICTURE, {"depth": framing()})) == "no_image"
    assert reason(format_once(Control(), replace(PICTURE, caption=" "), ALL)) == "no_caption"
    assert reason(format_once(Control(), PICTURE)) == "no_condition"
    assert reason(format_once(Control(conditions=("depth",)), PICTURE)) == "no_depth"
    crooked = {"image": framing(), "depth": framing(is_aligned=False)}
    assert reason(format_once(Control(conditions=("depth",)), PICTURE, crooked)) == "depth_not_aligned"


@pytest.mark.parametrize("conditions, words", [((), "at least one"), (("depth", "mask"), "'mask' is none of depth, normal")])
def test_unknown_conditions_are_refused(conditions, words):
    with pytest.raises(ValueError, match=words):
        Control(conditions=conditions)


def test_wordings_want_caption_and_picture():
    with pytest.raises(ValueError, match=r"\{caption\}"):
        Control(wordings=("From <|image|>",))
    with pytest.raises(ValueError, match="1 times"):
        Control(wordings=("{caption}",))
