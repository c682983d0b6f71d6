"""Referring: a picture with a box drawn on it asks, the phrase for what is in the box answers.

    user       What is in the box? <image>     the box drawn on it
    assistant  {phrase}

Not in the paper: it is grounding turned round, in this project's words.
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.boxes import check_box_options, mark_phrase
from tokenizer.tasks.wording import check_wordings, pick_wording, say


@dataclass(frozen=True)
class Referring:
    """A box, moved with the crop, is drawn on the image; the phrase that was found there answers.

    Phrase and boxes are noted as `phrase` and `boxes`.
    """

    wordings: tuple[str, ...] = ("What is in the box? <|image|>",)  # one of them by sample
    color: str = "red"  # of the box, as Pillow names it, or #rrggbb
    width: int = 0  # pixels of the line; 0: 1/80 of the crop's shorter side, at least 3
    min_confidence: float = 0.35  # in [0, 1], of a detection that is used
    min_visible: float = 0.9  # share of a box that the crop leaves, in (0, 1]; a detection of which less is left is not used
    min_side: int = 16  # pixels of a box's shorter side after the crop; a smaller one is not used
    all_boxes: bool = False  # of the phrase; False: one of them, drawn by seed, for the default wording speaks of one

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, num_images=1)
        check_box_options(self)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        marked = mark_phrase(sample, framings, self, rng)
        if isinstance(marked, Drop):
            return marked
        question = say(pick_wording(self.wordings, rng), images=[marked.ref])
        turns = (Turn("user", question), Turn("assistant", (marked.phrase,)))
        return Conversation(sample.key, "referring", turns, marked.notes)
