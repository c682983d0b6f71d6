"""Whose head is whose."""

import pytest

from pipeline.samples import Detection
from tokenizer.tasks.heads import HEAD_WORDS, find_head, is_head, widen_box

MAN = (0.0, 0.0, 0.5, 1.0)


def head(box, confidence=0.9) -> Detection:
    return Detection("head", box, confidence)


def test_a_head_is_the_word_and_nothing_more():
    assert is_head("Head", HEAD_WORDS) and is_head(" face.", HEAD_WORDS)
    assert not is_head("the horse's head", HEAD_WORDS) and not is_head("headlight", HEAD_WORDS) and not is_head("", HEAD_WORDS)


def test_the_most_confident_head_in_the_box_is_the_persons():
    weak, strong, elsewhere = head((0.1, 0.0, 0.2, 0.1), 0.4), head((0.2, 0.0, 0.3, 0.1), 0.8), head((0.8, 0.0, 0.9, 0.1), 0.9)
    assert find_head(MAN, [MAN], [weak, strong, elsewhere], 0.7) == strong.box
    assert find_head(MAN, [MAN], [], 0.7) is None


@pytest.mark.parametrize("x0, found", [(0.375, True), (0.4375, False)])
def test_the_heads_centre_lies_in_the_box(x0, found):
    """Its centre is at 0.5 and at 0.5625; the man ends at 0.5."""
    assert (find_head(MAN, [MAN], [head((x0, 0.0, x0 + 0.25, 0.25))], 0.7) is not None) == found


@pytest.mark.parametrize("height, found", [(0.4375, True), (0.5, False)])
def test_a_head_is_smaller_than_half_of_its_person(height, found):
    assert (find_head(MAN, [MAN], [head((0.0, 0.0, 0.5, height))], 0.7) is not None) == found


def test_a_head_in_two_boxes_belongs_to_the_smaller_one():
    child = (0.25, 0.25, 0.5, 0.75)
    childs, mans = head((0.3, 0.25, 0.4, 0.35), 0.9), head((0.1, 0.0, 0.2, 0.1), 0.5)
    assert find_head(MAN, [MAN, child], [childs, mans], 0.7) == mans.box
    assert find_head(child, [MAN, child], [childs, mans], 0.7) == childs.box
    assert find_head(MAN, [MAN, child], [childs], 0.7) is None


@pytest.mark.parametrize("max_overlap, found", [(0.75, False), (0.7, True)])
def test_a_person_found_by_two_words_keeps_its_head(max_overlap, found):
    again = (0.0, 0.0, 0.5, 0.75)  # overlaps the man's by 0.75
    assert (find_head(MAN, [again], [head((0.1, 0.0, 0.2, 0.1))], max_overlap) is not None) == found


def test_a_box_is_widened_by_a_share_of_its_sides_and_ends_at_the_border():
    assert widen_box((0.25, 0.5, 0.5, 1.0), 0.5) == (0.125, 0.25, 0.625, 1.0)
    assert widen_box((0.0, 0.25, 0.25, 0.5), 0.0) == (0.0, 0.25, 0.25, 0.5)
    assert widen_box((0.0, 0.0, 0.75, 0.75), 1.0) == (0.0, 0.0, 1.0, 1.0)
