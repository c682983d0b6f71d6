"""Questions about pictures, answered in words."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, ImageRef, Turn
from tests.tokenizer.tasks.samples import DIALOGUE, IMAGE, PICTURE, format_once, framing, reason
from tokenizer.tasks.vqa import VQA

FIRST, SECOND = ImageRef("image_1"), ImageRef("image_2")
TWO = {"image_1": framing(), "image_2": framing(500, 500)}
LONG = (
    Turn("user", ("How many? ", FIRST)),
    Turn("assistant", ("One.",)),
    Turn("user", ("And here? ", SECOND)),
    Turn("assistant", ("Two.",)),
    Turn("user", ("Sure?",)),
    Turn("assistant", ("Yes.",)),
)


def answer(turns, framings=None, **options):
    return format_once(VQA(**options), replace(PICTURE, turns=tuple(turns)), {"image": framing()} if framings is None else framings)


def test_turns_are_taken_word_for_word():
    assert answer(DIALOGUE) == Conversation("fox", "vqa", DIALOGUE)
    assert answer(LONG, TWO).turns == LONG


@pytest.mark.parametrize("max_turns, num_turns", [(0, 6), (1, 2), (2, 4), (3, 6), (4, 6)])
def test_a_longer_dialogue_is_cut_after_an_answer(max_turns, num_turns):
    assert answer(LONG, TWO, max_turns=max_turns).turns == LONG[:num_turns]


def test_a_question_at_the_end_that_nothing_answers_is_left_out():
    assert answer((*DIALOGUE, Turn("user", ("Why?",)))).turns == DIALOGUE


def test_pictures_that_no_turn_names_stand_in_front():
    turns = (Turn("user", ("What is this?",)), Turn("assistant", ("A fox.",)))
    assert answer(turns).turns == (Turn("user", (IMAGE, " ", "What is this?")), turns[1])
    assert answer(turns, TWO).turns == (Turn("user", (FIRST, " ", SECOND, " ", "What is this?")), turns[1])


def test_only_pictures_that_a_dialogue_is_about_stand_in_front():
    turns = (Turn("user", ("What is this?",)), Turn("assistant", ("A fox.",)))
    maps = {role: framing() for role in ("image", "depth", "pose", "edited_1", "mask", "view_1", "subject_1")}
    assert answer(turns, maps).turns[0].content == (IMAGE, " ", "What is this?")
    assert reason(answer(turns, {"depth": framing()})) == "no_image"


def test_pictures_stand_in_front_of_a_question_never_of_an_answer():
    greeting = (Turn("assistant", ("Hello!",)), Turn("user", ("What is this?",)), Turn("assistant", ("A fox.",)))
    assert answer(greeting).turns[1].content == (IMAGE, " ", "What is this?")
    assert reason(answer(greeting[:1])) == "no_image"


def test_what_is_no_question_about_a_picture_is_left_out():
    text = (Turn("user", ("Name a prime.",)), Turn("assistant", ("7.",)))
    assert reason(answer(text, {})) == "no_image"
    assert reason(answer((*text, *DIALOGUE), max_turns=1)) == "no_image"
    assert reason(answer(())) == "no_turns"
    assert reason(answer(DIALOGUE[:1])) == "no_answer"
    assert reason(answer((DIALOGUE[0], Turn("assistant", (" \n",))))) == "no_answer"
    assert reason(answer((DIALOGUE[0], Turn("assistant", ())))) == "no_answer"
    assert reason(answer((DIALOGUE[0], Turn("assistant", ("Here: ", IMAGE))))) == "answers_with_image"
    assert reason(answer(LONG)) == "unknown_image"


def test_a_negative_number_of_turns_is_refused():
    with pytest.raises(ValueError, match="max_turns"):
        VQA(max_turns=-1)
