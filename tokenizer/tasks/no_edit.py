"""No edit: an editing turn that asks for no change, answered by the same picture, code for code.

    user       No edit. <image>
    assistant  <image>

Source: Lumina-mGPT (arXiv 2408.02657), appendix C, asks its model for "no edit" and looks at what comes back. It prints no dialogue and
trained on none: the words are this project's.
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.task import lacks
from tokenizer.tasks.wording import check_wordings, pick_wording, say


@dataclass(frozen=True)
class NoEdit:
    """The image asks, the image answers."""

    wordings: tuple[str, ...] = ("No edit. <|image|>",)  # one of them by sample

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, num_images=1)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if drop := lacks(sample, framings, "image"):
            return drop
        image = ImageRef("image")
        question = say(pick_wording(self.wordings, rng), images=[image])
        return Conversation(sample.key, "no_edit", (Turn("user", question), Turn("assistant", (image,))))
