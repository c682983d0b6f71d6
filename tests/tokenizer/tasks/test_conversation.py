"""A sample's own turns are taken as they are."""

from dataclasses import replace

from pipeline.samples import Conversation, ImageRef, Turn
from tests.tokenizer.tasks.samples import DIALOGUE, PICTURE, format_once, reason
from tokenizer.tasks.conversation import OwnTurns


def test_turns_are_taken_word_for_word():
    assert format_once(OwnTurns(), replace(PICTURE, turns=DIALOGUE)) == Conversation("fox", "conversation", DIALOGUE)


def test_text_only_dialogues_are_dialogues_too():
    turns = (Turn("user", ("Name a prime.",)), Turn("assistant", ("7.",)))
    assert format_once(OwnTurns(), replace(PICTURE, images={}, turns=turns), framings={}).turns == turns


def test_a_crop_of_a_picture_that_is_there_is_fine():
    turns = (Turn("user", (ImageRef("image", (0.0, 0.0, 0.5, 0.5)),)), Turn("assistant", ("A paw.",)))
    assert format_once(OwnTurns(), replace(PICTURE, turns=turns)).turns == turns


def test_what_cannot_be_used_is_left_out_with_its_reason():
    assert reason(format_once(OwnTurns(), PICTURE)) == "no_turns"
    assert reason(format_once(OwnTurns(), replace(PICTURE, turns=DIALOGUE[:1]))) == "no_answer"
    elsewhere = (Turn("user", (ImageRef("depth"),)), DIALOGUE[1])
    assert reason(format_once(OwnTurns(), replace(PICTURE, turns=elsewhere))) == "unknown_image"
