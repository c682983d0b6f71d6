"""Captioning.

    user       Describe the image in detail. <image>
    assistant  {caption}

Source: Lumina-mGPT, README (the paper prints "this image" and no space; the released demo and this file agree).
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.task import lacks
from tokenizer.tasks.wording import check_wordings, pick_wording, say

INSTRUCTION = "Describe the image in detail. <|image|>"


@dataclass(frozen=True)
class Captioning:
    """The image asks, the caption answers."""

    wordings: tuple[str, ...] = (INSTRUCTION,)  # one of them by sample

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, num_images=1)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if drop := lacks(sample, framings, "image"):
            return drop
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        question = say(pick_wording(self.wordings, rng), images=[ImageRef("image")])
        return Conversation(sample.key, "captioning", (Turn("user", question), Turn("assistant", (sample.caption,))))
