"""Dialogues without pictures, and no others."""

from dataclasses import replace

from pipeline.samples import Conversation, Sample, Turn
from tests.tokenizer.tasks.samples import DIALOGUE, PICTURE, format_once, reason
from tokenizer.tasks.text_only import TextOnly

TURNS = (Turn("user", ("Name a prime.",)), Turn("assistant", ("7.",)))


def test_a_dialogue_is_taken_word_for_word():
    assert format_once(TextOnly(), Sample("primes", turns=TURNS), framings={}) == Conversation("primes", "text_only", TURNS)


def test_a_sample_with_pictures_is_left_out():
    assert reason(format_once(TextOnly(), replace(PICTURE, turns=DIALOGUE))) == "has_images"


def test_a_sample_without_turns_is_left_out():
    assert reason(format_once(TextOnly(), Sample("a", caption="b"), framings={})) == "no_turns"
