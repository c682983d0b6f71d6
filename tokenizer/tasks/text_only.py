"""Text only: a dialogue without images, kept in the mixture against forgetting.

    user       {message}
    assistant  {answer}

Source: Lumina-mGPT, section 3 (a small share of OpenHermes-2.5).
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, Sample
from tokenizer.framing import Framings
from tokenizer.tasks.conversation import own_turns


@dataclass(frozen=True)
class TextOnly:
    """The sample's own turns, where none of them shows an image."""

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if sample.images:
            return Drop(sample.key, "has_images")
        return own_turns(sample, framings, "text_only")
