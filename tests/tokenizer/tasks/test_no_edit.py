"""The same picture answers, code for code."""

import pytest

from pipeline.samples import Conversation, Turn
from tests.tokenizer.tasks.samples import IMAGE, PICTURE, format_once, framing, reason
from tokenizer.tasks.no_edit import NoEdit


def test_the_answer_is_the_very_picture_of_the_question():
    turns = (Turn("user", ("No edit. ", IMAGE)), Turn("assistant", (IMAGE,)))
    assert format_once(NoEdit(), PICTURE) == Conversation("fox", "no_edit", turns)


def test_words_are_drawn_by_seed():
    task = NoEdit(wordings=("No edit. <|image|>", "Leave it as it is. <|image|>"))
    words = [format_once(task, PICTURE, seed=seed).turns[0].content[0] for seed in range(100)]
    assert 30 < words.count("No edit. ") < 70
    with pytest.raises(ValueError, match="wordings"):
        NoEdit(wordings=())


def test_a_sample_without_main_picture_is_left_out():
    assert reason(format_once(NoEdit(), PICTURE, {"edited_1": framing()})) == "no_image"
