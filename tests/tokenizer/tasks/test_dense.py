"""Maps answer pictures that they line up with; a drawn pose has to show somebody."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, ImageRef, Pose, Turn
from tests.tokenizer.tasks.samples import IMAGE, PICTURE, format_once, framing, reason
from tokenizer.tasks.dense import Depth, HumanPose, Normal, Segmentation

TASKS = [
    (Depth(), "depth", "Depth estimation. "),
    (Normal(), "normal", "Surface normal estimation. "),
    (HumanPose(), "pose", "Human pose estimation. "),
    (Segmentation(), "segmentation", "Semantic segmentation. "),
]
WIDE = framing(1000, 500, crop=(500, 500))  # the middle half remains
STORED = replace(PICTURE, images={"image": b"picture", "pose": b"skeleton"})


def person(num_points: int, x: float = 0.5, confidence: float = 1.0) -> Pose:
    """17 points, so many of them seen."""
    return Pose(tuple((x, 0.5, confidence if number < num_points else 0.0) for number in range(17)))


@pytest.mark.parametrize("task, role, words", TASKS)
def test_the_map_answers(task, role, words):
    framings = {"image": framing(), role: framing()}
    turns = (Turn("user", (words, IMAGE)), Turn("assistant", (ImageRef(role),)))
    assert format_once(task, STORED, framings) == Conversation("fox", role, turns)


@pytest.mark.parametrize("task, role, words", TASKS)
def test_what_lacks_picture_or_map_or_alignment_is_left_out(task, role, words):
    assert reason(format_once(task, STORED, {role: framing()})) == "no_image"
    assert reason(format_once(task, STORED, {"image": framing()})) == f"no_{role}"
    assert reason(format_once(task, STORED, {"image": framing(), role: framing(is_aligned=False)})) == f"{role}_not_aligned"


@pytest.mark.parametrize("task, role, words", TASKS)
def test_other_words_are_drawn_by_seed(task, role, words):
    task = replace(task, wordings=("One: <|image|>", "<|image|> Two."))
    framings = {"image": framing(), role: framing()}
    first = [format_once(task, STORED, framings, seed).turns[0].content[0] for seed in range(100)]
    assert 30 < first.count("One: ") < 70
    assert first.count(IMAGE) == 100 - first.count("One: ")
    with pytest.raises(ValueError, match=r"wants <\|image\|> 1 times"):
        replace(task, wordings=("no mark",))


@pytest.mark.parametrize("num_points, is_used", [(6, True), (5, False)])
def test_a_drawn_pose_has_enough_points_of_one_person(num_points, is_used):
    sample = replace(PICTURE, poses=(person(num_points), person(5)))
    result = format_once(HumanPose(), sample, {"image": framing(), "pose": framing()})
    assert isinstance(result, Conversation) == is_used
    assert is_used or reason(result) == "no_person_in_crop"


@pytest.mark.parametrize("x, is_used", [(0.25, True), (0.2499, False), (0.75, True), (0.7501, False)])
def test_points_that_the_crop_cuts_away_do_not_count(x, is_used):
    sample = replace(PICTURE, poses=(person(17, x=x),))
    assert isinstance(format_once(HumanPose(), sample, {"image": WIDE, "pose": WIDE}), Conversation) == is_used


@pytest.mark.parametrize("confidence, is_used", [(0.3, True), (0.29, False)])
def test_unsure_points_do_not_count(confidence, is_used):
    sample = replace(PICTURE, poses=(person(17, confidence=confidence),))
    assert isinstance(format_once(HumanPose(), sample, {"image": framing(), "pose": framing()}), Conversation) == is_used


def test_points_that_were_not_seen_never_count():
    sample = replace(PICTURE, poses=(person(5),))
    task = HumanPose(min_confidence=0.0)
    assert reason(format_once(task, sample, {"image": framing(), "pose": framing()})) == "no_person_in_crop"


def test_a_stored_skeleton_is_taken_as_it_is():
    sample = replace(STORED, poses=(person(1),))
    assert isinstance(format_once(HumanPose(), sample, {"image": framing(), "pose": framing()}), Conversation)


@pytest.mark.parametrize("options", [{"min_points": 0}, {"min_confidence": -0.1}, {"min_confidence": 1.1}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        HumanPose(**options)
