"""The paper's words, width before height, and the share of prompts that do not state the size."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, Turn
from tests.tokenizer.tasks.samples import FRAMINGS, IMAGE, PICTURE, format_once, reason
from tokenizer.tasks.text_to_image import TextToImage, text_to_image_prompt


def test_the_prompt_states_width_before_height():
    wanted = "Generate an image of 768x512 according to the following prompt:\na red fox"
    assert format_once(TextToImage(), PICTURE) == Conversation(
        "fox", "text_to_image", (Turn("user", (wanted,)), Turn("assistant", (IMAGE,)))
    )


def test_golden_prompts_are_word_for_word(golden):
    item = next(item for item in golden["conversations"] if item["name"] == "text_to_image")
    assert text_to_image_prompt("A portrait, in warm light.", (256, 256)) == item["conversations"][0]["value"]


@pytest.mark.parametrize("fraction, stated", [(0.0, 400), (1.0, 0)])
def test_the_size_is_always_or_never_stated(fraction, stated):
    task = TextToImage(unstated_size_fraction=fraction)
    prompts = [format_once(task, PICTURE, seed=seed).turns[0].content[0] for seed in range(400)]
    assert sum("768x512" in prompt for prompt in prompts) == stated
    assert all(prompt.endswith("according to the following prompt:\na red fox") for prompt in prompts)


def test_one_prompt_in_ten_leaves_the_size_out():
    task = TextToImage(unstated_size_fraction=0.1)
    prompts = [format_once(task, PICTURE, seed=seed).turns[0].content[0] for seed in range(2000)]
    unstated = [prompt for prompt in prompts if prompt == "Generate an image according to the following prompt:\na red fox"]
    assert 150 < len(unstated) < 250


def test_a_caption_with_braces_stays_as_it_is():
    result = format_once(TextToImage(), replace(PICTURE, caption="{width} {0} %s"))
    assert result.turns[0].content[0].endswith("prompt:\n{width} {0} %s")


@pytest.mark.parametrize("caption", ["", " ", "\n\t"])
def test_a_sample_without_caption_is_left_out(caption):
    assert reason(format_once(TextToImage(), replace(PICTURE, caption=caption))) == "no_caption"


def test_a_sample_without_picture_is_left_out():
    assert reason(format_once(TextToImage(), PICTURE, framings={})) == "no_image"


def test_the_same_dice_give_the_same_prompt():
    task = TextToImage(unstated_size_fraction=0.5)
    assert [format_once(task, PICTURE, FRAMINGS, seed) for seed in range(20)] == [
        format_once(task, PICTURE, FRAMINGS, seed) for seed in range(20)
    ]
