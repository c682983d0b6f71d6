"""Which boxes remain, and whose words they keep."""

import random

from filters.annotators.overlaps import Found, choose
from pipeline.boxes import box_overlap

CAPTION = "a man in a red hat and a brown dog"
MAN, HAT, RED_HAT, MAN_IN_HAT, DOG, BROWN_DOG = "man", "hat", "red hat", "man in a red hat", "dog", "brown dog"
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.75, 0.0, 1.0, 1.0)


def found(phrase, confidence, box=LEFT, core=None):
    start = CAPTION.index(phrase)
    at = CAPTION.index(core or phrase.split()[-1], start)
    return Found(box, confidence, phrase, (start, start + len(phrase)), (at, at + len(core or phrase.split()[-1])))


def label(phrase, confidence, box=LEFT, span=None):
    return Found(box, confidence, phrase, span, span, True)


def chosen(*given, max_overlap=0.7, max_detections=32):
    detections = choose(given, CAPTION, max_overlap=max_overlap, max_detections=max_detections)
    for each in detections:
        assert each.span is None or CAPTION[slice(*each.span)] == each.phrase
    return [(each.phrase, each.confidence) for each in detections]


def test_the_most_confident_comes_first_and_of_equals_the_first():
    assert chosen(found(DOG, 0.4), found(MAN, 0.6), found(HAT, 0.4)) == [(MAN, 0.6), (DOG, 0.4), (HAT, 0.4)]
    assert chosen(found(DOG, 0.4), found(MAN, 0.6), found(HAT, 0.4), max_detections=2) == [(MAN, 0.6), (DOG, 0.4)]


def test_one_thing_is_found_once_and_two_of_a_name_twice():
    assert chosen(found(DOG, 0.4), found(DOG, 0.6)) == [(DOG, 0.6)]
    assert chosen(found(DOG, 0.4, RIGHT), found(DOG, 0.6)) == [(DOG, 0.6), (DOG, 0.4)]
    assert chosen(found(DOG, 0.4), found(MAN, 0.6)) == [(MAN, 0.6), (DOG, 0.4)]


def test_an_overlap_at_the_bound_is_allowed_and_one_above_is_not():
    half = (0.0, 0.0, 0.25, 1.0)
    assert box_overlap(LEFT, half) == 0.5
    assert len(chosen(found(DOG, 0.4, half), found(DOG, 0.6), max_overlap=0.5)) == 2
    assert len(chosen(found(DOG, 0.4, half), found(DOG, 0.6), max_overlap=0.499)) == 1


def test_phrases_with_one_core_say_the_same_thing():
    assert chosen(found(BROWN_DOG, 0.6), found(DOG, 0.4)) == [(BROWN_DOG, 0.6)]
    assert chosen(found(BROWN_DOG, 0.6), found(DOG, 0.4, RIGHT)) == [(BROWN_DOG, 0.6), (BROWN_DOG, 0.4)]
    assert chosen(found(BROWN_DOG, 0.4, RIGHT), found(DOG, 0.6)) == [(DOG, 0.6), (DOG, 0.4)]


def test_a_box_whose_core_is_taken_is_left_out_and_another_is_narrowed_to_its_core():
    assert chosen(found(MAN_IN_HAT, 0.6, core="man"), found(RED_HAT, 0.4)) == [(MAN_IN_HAT, 0.6)]
    assert chosen(found(MAN_IN_HAT, 0.4, core="man"), found(RED_HAT, 0.6)) == [(RED_HAT, 0.6), (MAN, 0.4)]
    assert chosen(found(MAN_IN_HAT, 0.4, core="man"), found(RED_HAT, 0.6), found(MAN, 0.5)) == [(RED_HAT, 0.6), (MAN, 0.5)]


def test_a_label_keeps_its_box_whatever_happens_to_its_words():
    dog = found(DOG, 0.0).span
    assert chosen(found(BROWN_DOG, 0.6), label("dog", 0.4, span=dog)) == [(BROWN_DOG, 0.6), ("dog", 0.4)]
    [_, second] = choose([found(BROWN_DOG, 0.6), label("dog", 0.4, span=dog)], CAPTION, max_overlap=0.7, max_detections=9)
    assert second.span is None
    assert chosen(found(BROWN_DOG, 0.4, RIGHT), label("dog", 0.6, span=dog)) == [("dog", 0.6), ("dog", 0.4)]
    assert chosen(label("head", 0.6), label("Head", 0.5), label("face", 0.4)) == [("head", 0.6), ("face", 0.4)]
    assert chosen(found(DOG, 0.6), label("dog", 0.5, span=dog)) == [(DOG, 0.6)]


def test_spans_that_remain_are_equal_or_apart():
    rng = random.Random(1)
    words = CAPTION.split()
    starts = [CAPTION.index(f" {word}") + 1 if place else 0 for place, word in enumerate(words)]
    starts[3] = CAPTION.index(" a red") + 1
    starts[7] = CAPTION.index(" a brown") + 1
    for _ in range(300):
        given = []
        for _ in range(12):
            first = int(rng.random() * len(words))
            last = min(first + int(rng.random() * 4), len(words) - 1)
            core = first + int(rng.random() * (last - first + 1))
            span = (starts[first], starts[last] + len(words[last]))
            x, y = rng.random() * 0.5, rng.random() * 0.5
            core_span = (starts[core], starts[core] + len(words[core]))
            given.append(Found((x, y, x + 0.4, y + 0.4), rng.random(), CAPTION[slice(*span)], span, core_span))
        kept = choose(given, CAPTION, max_overlap=0.3, max_detections=32)
        assert kept and [each.confidence for each in kept] == sorted((each.confidence for each in kept), reverse=True)
        for one in kept:
            assert CAPTION[slice(*one.span)] == one.phrase
            for other in kept:
                assert one.span == other.span or one.span[1] <= other.span[0] or other.span[1] <= one.span[0]
                assert one is other or one.span != other.span or box_overlap(one.box, other.box) <= 0.3
