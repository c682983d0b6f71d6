"""Which boxes are drawn: those that the crop leaves, of one phrase, in pixels of the crop."""

import random
from dataclasses import replace

import pytest

from pipeline.samples import Box, Detection, Drop
from tests.tokenizer.tasks.samples import PICTURE, framing, reason
from tokenizer.tasks.boxes import MarkedPicture, clean_phrase, mark_phrase
from tokenizer.tasks.grounding import Grounding

WIDE = framing(1024, 512, crop=(512, 512))  # the middle half remains: from 0.25 to 0.75


def found(phrase: str, box: Box, confidence: float = 0.9) -> Detection:
    return Detection(phrase, box, confidence)


def mark(*detections: Detection, crop=WIDE, seed: int = 0, **options) -> MarkedPicture | Drop:
    return mark_phrase(replace(PICTURE, detections=detections), {"image": crop}, Grounding(**options), random.Random(seed))


def boxes(marked: MarkedPicture | Drop) -> list[Box]:
    assert isinstance(marked, MarkedPicture), marked
    return [one.box for one in marked.ref.marks]


def test_a_box_moves_with_the_crop():
    marked = mark(found("apple", (0.25, 0.0, 0.5, 0.5)))
    assert boxes(marked) == [(0.0, 0.0, 0.5, 0.5)]
    assert marked.notes == {"phrase": "apple", "boxes": [[0.0, 0.0, 0.5, 0.5]]}


def test_a_box_moves_with_a_crop_of_a_picture_that_is_scaled():
    marked = mark(found("apple", (0.0, 0.5, 1.0, 1.0)), crop=framing(1000, 2000, crop=(512, 512)), min_visible=0.5)
    assert boxes(marked) == [pytest.approx((0.0, 0.5, 1.0, 1.0))]
    assert marked.notes["boxes"] == [[0.0, 0.5, 1.0, 1.0]]


@pytest.mark.parametrize("left, is_used", [(0.2, True), (0.199, False)])
def test_a_box_that_the_crop_cuts_is_used_if_enough_of_it_is_left(left, is_used):
    """From 0.2 to 0.7, a tenth of it is cut away at 0.25."""
    marked = mark(found("apple", (left, 0.25, 0.7, 0.75)), min_visible=0.9 - 1e-9)
    assert isinstance(marked, MarkedPicture) == is_used
    if is_used:
        assert boxes(marked) == [pytest.approx((0.0, 0.25, 0.9, 0.75))]
    else:
        assert reason(marked) == "box_cut_away"


def test_a_box_inside_the_crop_is_whole_to_the_last_bit():
    assert boxes(mark(found("apple", (0.3, 0.1, 0.7, 0.9)), min_visible=1.0))
    assert reason(mark(found("apple", (0.2, 0.1, 0.7, 0.9)), min_visible=1.0)) == "box_cut_away"


def test_a_box_without_area_is_none():
    assert reason(mark(found("apple", (0.5, 0.5, 0.5, 0.9)))) == "box_cut_away"
    assert reason(mark(found("apple", (0.6, 0.5, 0.5, 0.9)))) == "box_cut_away"


@pytest.mark.parametrize("side, is_used", [(16, True), (15, False)])
def test_a_box_has_enough_pixels_after_the_crop(side, is_used):
    for width, height in ((side, 100), (100, side)):
        marked = mark(found("apple", (0.5, 0.5, 0.5 + width / 1024, 0.5 + height / 512)))
        assert isinstance(marked, MarkedPicture) == is_used
        assert is_used or reason(marked) == "box_too_small"


@pytest.mark.parametrize("side", [5, 7, 10, 16, 31])
def test_the_least_size_holds_for_picture_sizes_that_are_no_powers_of_two(side):
    crop = framing(736, 352)
    box = (0.1, 0.3, 0.1 + side / 736, 0.3 + side / 352)
    assert boxes(mark(found("apple", box), crop=crop, min_side=side))
    assert reason(mark(found("apple", box), crop=crop, min_side=side + 1)) == "box_too_small"


@pytest.mark.parametrize("confidence, is_used", [(0.35, True), (0.349, False)])
def test_unsure_detections_are_not_used(confidence, is_used):
    marked = mark(found("apple", (0.3, 0.3, 0.6, 0.6), confidence))
    assert isinstance(marked, MarkedPicture) == is_used
    assert is_used or reason(marked) == "no_detection"


def test_detections_without_phrase_are_not_used():
    assert reason(mark()) == "no_detection"
    assert reason(mark(found(" . ", (0.3, 0.3, 0.6, 0.6)))) == "no_detection"
    marked = mark(found("", (0.3, 0.3, 0.6, 0.6)), found("apple", (0.4, 0.4, 0.6, 0.6)))
    assert (marked.phrase, len(boxes(marked))) == ("apple", 1)


def test_a_sample_without_main_picture_has_no_boxes():
    sample = replace(PICTURE, detections=(found("apple", (0.3, 0.3, 0.6, 0.6)),))
    assert reason(mark_phrase(sample, {"depth": WIDE}, Grounding(), random.Random(0))) == "no_image"


@pytest.mark.parametrize(
    "phrase, wanted", [("  The red apple. ", "The red apple"), ("apple", "apple"), ("Who?", "Who?"), ("a b .", "a b"), (".", ""), ("", "")]
)
def test_phrases_lose_their_spaces_and_their_full_stop(phrase, wanted):
    assert clean_phrase(phrase) == wanted


APPLES = (found("Apple.", (0.3, 0.1, 0.4, 0.3)), found("pear", (0.3, 0.5, 0.4, 0.7)), found("apple", (0.5, 0.1, 0.7, 0.3)))


def test_all_boxes_of_the_phrase_are_drawn_and_no_others():
    marked = {mark(*APPLES, seed=seed) for seed in range(40)}
    assert {(one.phrase, len(one.ref.marks)) for one in marked} == {("Apple", 2), ("pear", 1)}
    [apples] = [boxes(one) for one in marked if one.phrase == "Apple"]
    assert apples == [pytest.approx((0.1, 0.1, 0.3, 0.3)), pytest.approx((0.5, 0.1, 0.9, 0.3))]


def test_phrases_are_drawn_as_often_whatever_the_number_of_their_boxes():
    phrases = [mark(*APPLES, seed=seed).phrase for seed in range(600)]
    assert 250 < phrases.count("pear") < 350


def test_one_box_of_the_phrase_is_drawn_where_that_is_asked_for():
    marked = [mark(*APPLES, seed=seed, all_boxes=False) for seed in range(400)]
    assert {len(one.ref.marks) for one in marked} == {1}
    left = [one.ref.marks[0].box[0] for one in marked if one.phrase == "Apple"]
    assert 0.35 < sum(x < 0.3 for x in left) / len(left) < 0.65


def test_a_phrase_keeps_the_boxes_that_are_left():
    cut = found("apple", (0.0, 0.1, 0.1, 0.3))
    assert len(boxes(mark(cut, APPLES[2]))) == 1
    assert reason(mark(cut)) == "box_cut_away"


@pytest.mark.parametrize("size, width", [((512, 512), 6), ((768, 1152), 10), ((256, 256), 3), ((128, 512), 3), ((1024, 1024), 13)])
def test_the_line_grows_with_the_picture(size, width):
    marked = mark(found("apple", (0.1, 0.1, 0.9, 0.9)), crop=framing(*size))
    assert marked.ref.marks[0].width == width


def test_colour_and_width_are_the_options():
    marked = mark(found("apple", (0.3, 0.1, 0.7, 0.9)), color="#00ff80", width=7)
    assert (marked.ref.marks[0].color, marked.ref.marks[0].width) == ("#00ff80", 7)


@pytest.mark.parametrize(
    "name, value",
    [
        ("color", "reddish"),
        ("color", "#ff000080"),
        ("color", ""),
        ("width", -1),
        ("min_confidence", 1.01),
        ("min_confidence", -0.01),
        ("min_visible", 0.0),
        ("min_visible", 1.01),
        ("min_side", 0),
    ],
)
def test_options_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Grounding(**{name: value})


@pytest.mark.parametrize(
    "name, value", [("width", 0), ("min_confidence", 0.0), ("min_confidence", 1.0), ("min_visible", 1.0), ("min_side", 1)]
)
def test_options_at_their_bounds_are_fine(name, value):
    assert getattr(Grounding(**{name: value}), name) == value
