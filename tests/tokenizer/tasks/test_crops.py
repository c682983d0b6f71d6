"""Which detections may stand in a prompt: both sides of each bound, and which of two that overlap stays."""

import math

import pytest

from pipeline.boxes import clip_box
from pipeline.samples import Detection
from tests.tokenizer.tasks.samples import framing
from tokenizer.tasks.crops import Candidate, find_candidates, picture_share, pixel_area, settle_overlaps

CAPTION = "a man and a dog"
PICTURE = framing(1000, 1000)
LAX = {"min_confidence": 0.0, "min_side": 1, "max_share": 1.0, "min_visible": 0.0}


def dog(box=(0.0, 0.0, 0.5, 0.5), confidence=0.9, span=(12, 15)) -> Detection:
    return Detection("dog", box, confidence, span)


def find(*detections, caption=CAPTION, picture=PICTURE, **bounds):
    return find_candidates(caption, detections, picture, **(LAX | bounds))


def test_what_is_found_keeps_its_number_and_its_words():
    assert find(dog(span=None), dog()) == [Candidate(1, "dog", (0.0, 0.0, 0.5, 0.5), 0.9, (12, 15))]


@pytest.mark.parametrize(
    "span, usable",
    [((12, 15), True), ((12, 16), False), ((0, 1), True), ((-1, 1), False), ((12, 12), False), ((15, 12), False), ((1, 2), False)],
)
def test_a_span_holds_words_of_the_caption(span, usable):
    assert isinstance(find(dog(span=span)), list) == usable
    if not usable:
        assert find(dog(span=span)) == "no_detection"


@pytest.mark.parametrize("confidence, usable", [(0.35, True), (0.3499, False), (math.nan, False)])
def test_a_detection_below_the_confidence_is_none(confidence, usable):
    assert isinstance(find(dog(confidence=confidence), min_confidence=0.35), list) == usable


@pytest.mark.parametrize(
    "box, usable",
    [((0, 0, 0.15, 0.15), True), ((0, 0, 0.15, 0.149), False), ((0.5, 0, 0.53, 0.75), True), ((0.5, 0, 0.53, 0.749), False)],
)
def test_the_least_size_is_an_area_in_pixels_of_the_original(box, usable):
    assert isinstance(find(dog(box), min_side=150), list) == usable
    if not usable:
        assert find(dog(box), min_side=150) == "crops_too_small"


@pytest.mark.parametrize("width, usable", [(600, True), (597, False)])
def test_the_original_counts_and_not_its_crop(width, usable):
    found = find(dog((0, 0, 0.25, 0.25)), picture=framing(width, 600, crop=(256, 256)), min_side=150)
    assert isinstance(found, list) == usable


@pytest.mark.parametrize("box, usable", [((0, 0, 1, 0.75), True), ((0, 0, 1, 0.751), False)])
def test_the_largest_share_is_of_the_pictures_area(box, usable):
    assert isinstance(find(dog(box), max_share=0.75), list) == usable
    if not usable:
        assert find(dog(box), max_share=0.75) == "crops_too_large"


@pytest.mark.parametrize("x1, usable", [(0.5, True), (0.4375, False)])
def test_the_answer_shows_enough_of_the_crop(x1, usable):
    wide = framing(1024, 512, crop=(512, 512))  # the middle half remains: from 0.25 to 0.75
    assert isinstance(find(dog((0.0, 0.0, x1, 1.0)), picture=wide, min_visible=0.5), list) == usable
    if not usable:
        assert find(dog((0.0, 0.0, x1, 1.0)), picture=wide, min_visible=0.5) == "crops_cut_away"


def test_the_bound_that_the_last_one_failed_gives_the_reason():
    small, large = dog((0, 0, 0.01, 0.01)), dog((0, 0, 1, 1))
    assert find() == find(dog(span=None)) == "no_detection"
    assert find(dog(span=None), small, min_side=150, max_share=0.75) == "crops_too_small"
    assert find(small, large, min_side=150, max_share=0.75) == "crops_too_large"


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.5, 0.9), (0.9, 0.1, 0.2, 0.8), (math.nan, 0.0, 0.5, 0.5), (1.2, 0.0, 1.5, 0.5)])
def test_a_box_without_an_inside_is_too_small(box):
    assert find(dog(box)) == "crops_too_small"
    assert pixel_area(clip_box(box), PICTURE) == 0


def test_boxes_end_at_the_borders_of_the_picture():
    assert clip_box((-0.2, 0.1, 1.3, 0.9)) == (0.0, 0.1, 1.0, 0.9)
    assert find(dog((-1.0, 0.0, 0.5, 0.5)))[0].box == (0.0, 0.0, 0.5, 0.5)


def candidate(span, confidence, box=(0.0, 0.0, 0.5, 0.5), number=0) -> Candidate:
    return Candidate(number, "", box, confidence, span)


FAR = (0.5, 0.5, 1.0, 1.0)


def test_of_several_boxes_for_the_same_words_the_best_stays():
    one, best, other = candidate((0, 3), 0.5), candidate((0, 3), 0.9, FAR), candidate((0, 3), 0.7, (0.0, 0.5, 0.5, 1.0))
    assert settle_overlaps([one, best, other], 0.7) == [best]


@pytest.mark.parametrize(
    "weak, strong, stay", [((0, 5), (5, 9), 2), ((0, 5), (4, 9), 1), ((5, 9), (0, 5), 2), ((4, 9), (0, 5), 1), ((0, 9), (4, 5), 1)]
)
def test_of_spans_that_overlap_the_more_confident_stays(weak, strong, stay):
    weak, strong = candidate(weak, 0.5), candidate(strong, 0.6, FAR)
    kept = settle_overlaps([weak, strong], 0.7)
    assert len(kept) == stay and strong in kept


@pytest.mark.parametrize("x1, stay", [(0.75, 1), (0.5, 2)])
def test_of_boxes_at_one_place_the_more_confident_stays(x1, stay):
    """Intersection over union of [0, 1] and [0, x1] is x1."""
    weak, strong = candidate((0, 3), 0.5, (0.0, 0.0, 1.0, 1.0)), candidate((5, 9), 0.6, (0.0, 0.0, x1, 1.0))
    kept = settle_overlaps([weak, strong], 0.5)
    assert len(kept) == stay and strong in kept


def test_of_two_equals_the_earlier_stays():
    assert settle_overlaps([candidate((0, 3), 0.5, number=0), candidate((0, 3), 0.5, number=1)], 0.7)[0].number == 0


def test_one_that_lost_takes_none_with_it():
    strong, lost, free = candidate((0, 5), 0.9), candidate((4, 8), 0.8, FAR), candidate((7, 9), 0.7, (0.5, 0.0, 1.0, 0.5))
    assert settle_overlaps([free, lost, strong], 0.7) == [strong, free]


def test_what_stays_is_in_the_order_of_the_caption():
    late, early = candidate((9, 12), 0.9), candidate((0, 3), 0.5, FAR)
    assert settle_overlaps([late, early], 0.7) == [early, late]


def test_a_share_is_of_the_whole_picture():
    assert picture_share((0.0, 0.0, 0.5, 0.5), PICTURE) == 0.25
