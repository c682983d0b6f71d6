"""A sample's own turns, as the source brought them: VQA, editing, dense labelling in the reference's JSON.

Source: Lumina-mGPT, `pre_tokenize` (its input format is this project's `conversations` source).
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample
from tokenizer.framing import Framings


@dataclass(frozen=True)
class OwnTurns:
    """The dialogue is taken as it is, word for word."""

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        return own_turns(sample, framings, "conversation")


def own_turns(sample: Sample, framings: Framings, task: str) -> Conversation | Drop:
    """The sample's turns as a conversation of `task`."""
    if not sample.turns:
        return Drop(sample.key, "no_turns")
    if any(isinstance(part, ImageRef) and part.name not in framings for turn in sample.turns for part in turn.content):
        return Drop(sample.key, "unknown_image")
    if not any(turn.role == "assistant" for turn in sample.turns):
        return Drop(sample.key, "no_answer")
    return Conversation(sample.key, task, sample.turns)
