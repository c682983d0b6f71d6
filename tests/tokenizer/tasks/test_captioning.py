"""The picture asks, the caption answers."""

from dataclasses import replace

from pipeline.samples import Conversation, Turn
from tests.tokenizer.tasks.samples import IMAGE, PICTURE, format_once, reason
from tokenizer.tasks.captioning import INSTRUCTION, Captioning


def test_the_instruction_is_the_papers(golden):
    item = next(item for item in golden["conversations"] if item["name"] == "captioning")
    assert item["conversations"][0]["value"] == INSTRUCTION


def test_the_caption_is_the_answer_word_for_word():
    sample = replace(PICTURE, caption="  a fox,\n at night ")
    turns = (Turn("user", ("Describe the image in detail. ", IMAGE)), Turn("assistant", ("  a fox,\n at night ",)))
    assert format_once(Captioning(), sample) == Conversation("fox", "captioning", turns)


def test_what_lacks_a_picture_or_a_caption_is_left_out():
    assert reason(format_once(Captioning(), PICTURE, framings={})) == "no_image"
    assert reason(format_once(Captioning(), replace(PICTURE, caption=" "))) == "no_caption"
