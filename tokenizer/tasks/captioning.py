"""Captioning.

    user       Describe the image in detail. <image>
    assistant  {caption}

Source: Lumina-mGPT, README (the paper prints "this image" and no space; the released demo and this file agree).
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.tasks.task import CropSizes

INSTRUCTION = "Describe the image in detail. "


@dataclass(frozen=True)
class Captioning:
    """The image asks, the caption answers."""

    def format(self, sample: Sample, sizes: CropSizes, rng: random.Random) -> Conversation | Drop:
        image = ImageRef("image")
        if image not in sizes:
            return Drop(sample.key, "no_image")
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        return Conversation(sample.key, "captioning", (Turn("user", (INSTRUCTION, image)), Turn("assistant", (sample.caption,))))
