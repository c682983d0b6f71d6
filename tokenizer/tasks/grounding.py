"""Grounding: a phrase asks, the picture with a box around what it names answers.

    user       Detect: {phrase}. <image>
    assistant  <image>                     its boxes drawn on it

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2. It names neither the boxes' colour nor their width.
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.boxes import check_box_options, mark_phrase
from tokenizer.tasks.wording import check_wordings, pick_wording, say


@dataclass(frozen=True)
class Grounding:
    """One of the phrases that were found in the image asks; its boxes, moved with the crop, are drawn on the answer.

    Phrase and boxes are noted as `phrase` and `boxes`. Phrases that differ in capitals alone are one.
    """

    wordings: tuple[str, ...] = ("Detect: {phrase}. <|image|>",)  # one of them by sample
    color: str = "red"  # of the boxes, as Pillow names it, or #rrggbb
    width: int = 0  # pixels of the line; 0: 1/80 of the crop's shorter side, at least 3
    min_confidence: float = 0.35  # in [0, 1], of a detection that is used
    min_visible: float = 0.9  # share of a box that the crop leaves, in (0, 1]; a detection of which less is left is not used
    min_side: int = 16  # pixels of a box's shorter side after the crop; a smaller one is not used
    all_boxes: bool = True  # of the phrase; False: one of them, drawn by seed

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, ("phrase",), num_images=1)
        check_box_options(self)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        marked = mark_phrase(sample, framings, self, rng)
        if isinstance(marked, Drop):
            return marked
        question = say(pick_wording(self.wordings, rng), {"phrase": marked.phrase}, [ImageRef("image")])
        turns = (Turn("user", question), Turn("assistant", (marked.ref,)))
        return Conversation(sample.key, "grounding", turns, marked.notes)
