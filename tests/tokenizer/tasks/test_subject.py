"""Subjects in their own smaller size and a caption ask, the picture answers."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, ImageRef, Turn
from tests.tokenizer.tasks.samples import IMAGE, PICTURE, format_once, framing, reason
from tokenizer.tasks.subject import Subject

BEFORE = "Generate an image of 768x512 that shows the subject of "
AFTER = " according to the following prompt:\na red fox"


def subjects(count: int):
    return {"image": framing(), **{f"subject_{number}": framing(300, 300) for number in range(1, count + 1)}}


def test_one_subject_asks():
    turns = (Turn("user", (BEFORE, ImageRef("subject_1", target_size=256), AFTER)), Turn("assistant", (IMAGE,)))
    assert format_once(Subject(), PICTURE, subjects(1)) == Conversation("fox", "subject", turns)


def test_several_subjects_stand_at_the_mark_a_space_between_two():
    one, two = (ImageRef(f"subject_{number}", target_size=256) for number in (1, 2))
    assert format_once(Subject(), PICTURE, subjects(2)).turns[0].content == (BEFORE, one, " ", two, AFTER)


@pytest.mark.parametrize("count, num_shown", [(2, 2), (3, 3), (4, 3)])
def test_no_more_subjects_than_the_option_says(count, num_shown):
    content = format_once(Subject(), PICTURE, subjects(count)).turns[0].content
    names = [part.name for part in content if isinstance(part, ImageRef)]
    assert names == [f"subject_{number}" for number in range(1, num_shown + 1)]


def test_a_caption_that_spells_the_mark_shows_no_picture():
    content = format_once(Subject(), replace(PICTURE, caption="a <|image|> {caption}"), subjects(2)).turns[0].content
    assert sum(isinstance(part, ImageRef) for part in content) == 2
    assert content[-1].endswith("prompt:\na <|image|> {caption}")


def test_what_cannot_be_used_is_left_out_with_its_reason():
    assert reason(format_once(Subject(), PICTURE, {"subject_1": framing()})) == "no_image"
    assert reason(format_once(Subject(), PICTURE)) == "no_subject"
    assert reason(format_once(Subject(), replace(PICTURE, caption=""), subjects(1))) == "no_caption"


def test_size_and_words_by_option():
    task = Subject(target_size=0, wordings=("{width}x{height}: {caption} <|image|>",))
    assert format_once(task, PICTURE, subjects(1)).turns[0].content == ("768x512: a red fox ", ImageRef("subject_1"))


@pytest.mark.parametrize("options", [{"max_subjects": 0}, {"target_size": 100}, {"wordings": ("{caption} <|image|>",)}])
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(ValueError, match=r"max_subjects|target size|width"):
        Subject(**options)
