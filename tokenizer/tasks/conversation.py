"""A sample's own turns, as the source brought them: VQA, editing, dense labelling in the reference's JSON.

Source: Lumina-mGPT, `pre_tokenize` (its input format is this project's `conversations` source).
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample
from tokenizer.tasks.task import CropSizes


@dataclass(frozen=True)
class OwnTurns:
    """The dialogue is taken as it is, word for word."""

    def format(self, sample: Sample, sizes: CropSizes, rng: random.Random) -> Conversation | Drop:
        return own_turns(sample, sizes, "conversation")


def own_turns(sample: Sample, sizes: CropSizes, task: str) -> Conversation | Drop:
    """The sample's turns as a conversation of `task`."""
    if not sample.turns:
        return Drop(sample.key, "no_turns")
    if any(isinstance(part, ImageRef) and ImageRef(part.name) not in sizes for turn in sample.turns for part in turn.content):
        return Drop(sample.key, "unknown_image")
    if not any(turn.role == "assistant" for turn in sample.turns):
        return Drop(sample.key, "no_answer")
    return Conversation(sample.key, task, sample.turns)
