"""Spatial control: a map and a caption ask, the picture answers.

    user       Generate an image according to the provided image, and according to the following caption:\\n{caption} <image>
    assistant  <image>

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2, in its demo's spelling (the paper prints a space for the line break). Its maps are
depth, normals, poses and segmentation; edges (canny, HED, sketch) are this project's addition.
"""

import random
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.dense import check_person_options, lacks_person
from tokenizer.tasks.task import lacks, pick
from tokenizer.tasks.wording import check_wordings, pick_wording, say

PROMPT = "Generate an image according to the provided image, and according to the following caption:\n{caption} <|image|>"
CONDITIONS = ("depth", "normal", "pose", "segmentation", "canny", "hed", "sketch")


@dataclass(frozen=True)
class Control:
    """One of the sample's maps and its caption ask, the image answers. Which map it was is noted as `condition`."""

    wordings: tuple[str, ...] = (PROMPT,)  # one of them by sample
    conditions: tuple[str, ...] = CONDITIONS  # maps that may ask: one is drawn of those that the sample has
    min_points: int = 6  # of one person, inside the crop, for a pose that may ask
    min_confidence: float = 0.3  # in [0, 1], of a point that counts

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, ("caption",), num_images=1)
        check_person_options(self.min_points, self.min_confidence)
        if not self.conditions:
            raise ValueError(f"conditions: at least one of {', '.join(CONDITIONS)} is wanted")
        if unknown := [name for name in self.conditions if name not in CONDITIONS]:
            raise ValueError(f"conditions: {unknown[0]!r} is none of {', '.join(CONDITIONS)}")

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if drop := lacks(sample, framings, "image"):
            return drop
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        drops = {name: drop for name in self.conditions if (drop := self._lacks(sample, framings, name))}
        usable = [name for name in self.conditions if name not in drops]
        if not usable:
            return Drop(sample.key, "no_condition") if len(drops) > 1 else next(iter(drops.values()))
        condition = pick(usable, rng)
        prompt = say(pick_wording(self.wordings, rng), {"caption": sample.caption}, [ImageRef(condition)])
        turns = (Turn("user", prompt), Turn("assistant", (ImageRef("image"),)))
        return Conversation(sample.key, "control", turns, {"condition": condition})

    def _lacks(self, sample: Sample, framings: Framings, condition: str) -> Drop | None:
        drop = lacks(sample, framings, condition)
        if drop is None and condition == "pose":
            drop = lacks_person(sample, framings, min_points=self.min_points, min_confidence=self.min_confidence)
        return drop
