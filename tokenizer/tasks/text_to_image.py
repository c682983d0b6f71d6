"""Text to image.

    user       Generate an image of 768x512 according to the following prompt:\\n{caption}
    assistant  <image>

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2. The share of prompts that do not state the size is Lumina-mGPT 2.0's (10 % there).
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.task import lacks
from tokenizer.tasks.wording import check_wordings, pick_wording, say

PROMPT = "Generate an image of {width}x{height} according to the following prompt:\n{caption}"
PROMPT_WITHOUT_SIZE = "Generate an image according to the following prompt:\n{caption}"


@dataclass(frozen=True)
class TextToImage:
    """The caption asks, the image answers."""

    unstated_size_fraction: float = 0.0  # of the prompts that do not state the size, in [0, 1]
    wordings: tuple[str, ...] = (PROMPT,)  # one of them by sample
    wordings_without_size: tuple[str, ...] = (PROMPT_WITHOUT_SIZE,)  # of the prompts that do not state the size

    def __post_init__(self) -> None:
        if not 0 <= self.unstated_size_fraction <= 1:
            raise ValueError(f"unstated_size_fraction lies in [0, 1], got {self.unstated_size_fraction:g}")
        check_wordings("wordings", self.wordings, ("width", "height", "caption"))
        check_wordings("wordings_without_size", self.wordings_without_size, ("caption",))

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if drop := lacks(sample, framings, "image"):
            return drop
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        width, height = framings["image"].size
        wordings = self.wordings_without_size if rng.random() < self.unstated_size_fraction else self.wordings
        prompt = say(pick_wording(wordings, rng), {"caption": sample.caption, "width": width, "height": height})
        return Conversation(sample.key, "text_to_image", (Turn("user", prompt), Turn("assistant", (ImageRef("image"),))))


def text_to_image_prompt(caption: str, size: tuple[int, int] | None) -> str:
    """The words that ask for an image; the sampler uses the same.

    Args:
        size: Width and height in pixels; None leaves them to the model.
    """
    if size is None:
        return PROMPT_WITHOUT_SIZE.format(caption=caption)
    return PROMPT.format(width=size[0], height=size[1], caption=caption)
