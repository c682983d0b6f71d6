"""Text to image.

    user       Generate an image of 768x512 according to the following prompt:\\n{caption}
    assistant  <image>

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2. The share of prompts that do not state the size is Lumina-mGPT 2.0's (10 % there).
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.tasks.task import CropSizes

PROMPT = "Generate an image of {width}x{height} according to the following prompt:\n{caption}"
PROMPT_WITHOUT_SIZE = "Generate an image according to the following prompt:\n{caption}"


@dataclass(frozen=True)
class TextToImage:
    """The caption asks, the image answers."""

    unstated_size_fraction: float = 0.0  # of the prompts that do not state the size, in [0, 1]

    def format(self, sample: Sample, sizes: CropSizes, rng: random.Random) -> Conversation | Drop:
        image = ImageRef("image")
        if image not in sizes:
            return Drop(sample.key, "no_image")
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        width, height = sizes[image]
        prompt = text_to_image_prompt(sample.caption, None if rng.random() < self.unstated_size_fraction else (width, height))
        return Conversation(sample.key, "text_to_image", (Turn("user", (prompt,)), Turn("assistant", (image,))))


def text_to_image_prompt(caption: str, size: tuple[int, int] | None) -> str:
    """The words that ask for an image; the sampler uses the same.

    Args:
        size: Width and height in pixels; None leaves them to the model.
    """
    if size is None:
        return PROMPT_WITHOUT_SIZE.format(caption=caption)
    return PROMPT.format(width=size[0], height=size[1], caption=caption)
