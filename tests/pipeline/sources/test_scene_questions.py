"""Questions about drawn scenes: the answers are judged by the caption and the boxes, not by what made them."""

import re
from collections import Counter

import pytest

from pipeline.samples import ImageRef
from pipeline.sources.scene import COLORS, Scene, Thing
from pipeline.sources.scene_questions import describe_change
from pipeline.sources.shapes import Shapes

SOURCE = Shapes(300, seed=2, sizes=("64x64", "96x64"), questions=True, people_share=0.3, roles=("image", "edited_1"))
SAMPLES = [SOURCE.draw(str(number)) for number in range(SOURCE.count)]


def pairs(sample):
    """(question, roles of its pictures, answer)"""
    assert len(sample.turns) % 2 == 0
    assert [turn.role for turn in sample.turns] == ["user", "assistant"] * (len(sample.turns) // 2)
    for asked, answered in zip(sample.turns[::2], sample.turns[1::2], strict=True):
        [answer] = answered.content
        texts = [part for part in asked.content if isinstance(part, str)]
        yield "".join(texts).strip(), [part.name for part in asked.content if isinstance(part, ImageRef)], answer


def bare(words):
    return re.sub(r"\ban? ", "", words.lower()).rstrip(".")


def true_answer(question, sample):
    """What is to be said, in lower case and without articles."""
    things = [(found.phrase, found.box) for found in sample.detections if found.span]
    phrases = [phrase for phrase, _ in things]
    if question == "How many things are in the picture?":
        return ("one", "two", "three")[len(things) - 1]
    if question == "What colour is the ground?":
        made = re.search(r"on a ground that (fades from \w+ to \w+)$|on an? (\w+) ground$", sample.caption)
        return f"it {made[1]}" if made[1] else made[2]
    if made := re.fullmatch(r"What colour is the (\w+)\?", question):
        [phrase] = [phrase for phrase in phrases if phrase.split()[-1] == made[1]]
        return phrase.split()[-2]
    if made := re.fullmatch(r"Is there an? (\w+ \w+)\?", question):
        return "yes" if any(phrase.endswith(made[1]) for phrase in phrases) else "no"
    if made := re.fullmatch(r"Where is the (\w+)\?", question):
        [(phrase, (x0, y0, x1, y1))] = things
        assert phrase.split()[-1] == made[1]
        across = {0: "left", 1: "", 2: "right"}[int((x0 + x1) / 2 * 3)]
        down = {0: "top", 1: "", 2: "bottom"}[int((y0 + y1) / 2 * 3)]
        return f"at the {down} {across}".strip() if down else f"on the {across}" if across else "in the middle"
    if made := re.fullmatch(r"What is (left of|right of|above|below) the (.*)\?", question):
        axis, sign = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}[made[1]]
        middle = {phrase: (box[axis] + box[axis + 2]) / 2 for phrase, box in things}
        return " and ".join(phrase for phrase in phrases if sign * (middle[phrase] - middle[made[2]]) > 0) or "nothing"
    made = re.fullmatch(r"What is (\w+)\?", question)
    [phrase] = [phrase for phrase in phrases if phrase.split()[-2] == made[1]]
    return f"the {phrase.split()[-1]}"


def kind(question):
    return re.sub(r"\b(is there) .*", r"\1", re.sub(r"\bthe (?!ground|picture).*", "", question).lower())


def test_every_answer_is_true():
    kinds = Counter()
    for sample in SAMPLES:
        for question, images, answer in pairs(sample):
            if images != ["edited_1"]:
                assert bare(answer) == true_answer(question, sample), (sample.caption, question)
                assert answer[0].isupper() and answer.endswith(".")
                kinds[kind(question)] += 1
    for words in ("how many", "what colour is the ground", "is there", "where is", "left of", "right of", "above", "below", "what is red"):
        assert sum(count for name, count in kinds.items() if words in name) > 3, words


def test_a_dialogue_has_two_to_four_questions_about_the_picture_and_asks_none_twice():
    lengths = Counter()
    for sample in SAMPLES:
        asked = list(pairs(sample))
        about_it = [question for question, images, _ in asked if images != ["edited_1"]]
        lengths[len(about_it)] += 1
        assert asked[0][1] == ["image"] and all(images == [] for _, images, _ in asked[1 : len(about_it)])
        assert len(set(about_it)) == len(about_it)
    assert set(lengths) == {2, 3, 4} and min(lengths.values()) > 60


def test_yes_and_no_are_about_as_frequent_and_no_is_not_easy():
    answers = Counter()
    for sample in SAMPLES:
        words = {word for found in sample.detections for word in found.phrase.split()}
        for question, _, answer in pairs(sample):
            if made := re.fullmatch(r"Is there an? (\w+) (\w+)\?", question):
                answers[answer] += 1
                assert made[1] in words or made[2] in words
    assert 0.35 < answers["Yes."] / answers.total() < 0.65


def test_about_half_of_the_dialogues_go_on_with_the_edited_picture():
    seen = 0
    for sample in SAMPLES:
        *_, (question, images, answer) = pairs(sample)
        if images == ["edited_1"]:
            seen += 1
            assert question == "What changed in this picture?"
            after, before = bare(sample.metadata["edited_caption_1"]), bare(sample.caption)
            subject, new = re.fullmatch(r"the (.*) is now (\w+)", bare(answer)).groups()
            assert new in after
            if subject == "ground":
                assert after.endswith(f"{new} ground")
            else:
                *size, color, shape = subject.split()
                changed = [*size, new, shape] if new in COLORS else [*size, color, new]
                assert before.replace(subject, " ".join(changed)) == after
    assert 110 < seen < 190


def test_without_the_edited_picture_the_rest_is_asked_alike():
    alone = Shapes(1, seed=2, sizes=SOURCE.sizes, questions=True, people_share=0.3)
    for sample in SAMPLES[:30]:
        turns = alone.draw(sample.key).turns
        assert turns == sample.turns[: len(turns)] and len(sample.turns) - len(turns) in (0, 2)
        assert alone.draw(sample.key).turns == turns


def test_nothing_is_asked_unless_wanted():
    assert Shapes(1, roles=("image", "edited_1")).draw("0").turns == ()


def test_what_is_held_out_is_not_spoken_of():
    held_out = tuple(f"{color} circle" for color in list(COLORS)[:11])
    source = Shapes(1, sizes=("16x16",), questions=True, hold_out=held_out)
    said = " ".join(question for number in range(300) for question, *_ in pairs(source.draw(str(number))))
    assert "white circle" in said and not any(kind in said for kind in held_out)


@pytest.mark.parametrize(
    ("thing", "ground", "words"),
    [
        (("blue", "star"), "black", "The small red star is now blue."),
        (("red", "hexagon"), "black", "The small red star is now a hexagon."),
        (("red", "star"), "orange", "The ground is now orange."),
    ],
)
def test_a_change_is_said_in_plain_english(thing, ground, words):
    before = Scene((Thing("red", "star", "small", 0.5, 0.5, 0.1),), "black")
    after = Scene((Thing(*thing, "small", 0.5, 0.5, 0.1),), ground)
    assert describe_change(before, after) == words
