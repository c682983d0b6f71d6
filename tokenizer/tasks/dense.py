"""Dense labelling: a map of the picture is the answer.

    user       Depth estimation. <image>
    assistant  <image>

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2 (its demo misspells "Segmentic segmentation.").
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.task import lacks
from tokenizer.tasks.wording import check_wordings, pick_wording, say


@dataclass(frozen=True)
class Depth:
    """The picture asks, its depth map answers."""

    wordings: tuple[str, ...] = ("Depth estimation. <|image|>",)  # one of them by sample

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, num_images=1)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        return ask_for_map(sample, framings, rng, role="depth", wordings=self.wordings)


@dataclass(frozen=True)
class Normal:
    """The picture asks, its surface normals answer."""

    wordings: tuple[str, ...] = ("Surface normal estimation. <|image|>",)  # one of them by sample

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, num_images=1)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        return ask_for_map(sample, framings, rng, role="normal", wordings=self.wordings)


@dataclass(frozen=True)
class Segmentation:
    """The picture asks, its classes in their colours answer."""

    wordings: tuple[str, ...] = ("Semantic segmentation. <|image|>",)  # one of them by sample

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, num_images=1)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        return ask_for_map(sample, framings, rng, role="segmentation", wordings=self.wordings)


@dataclass(frozen=True)
class HumanPose:
    """The picture asks, the skeletons of its persons answer."""

    wordings: tuple[str, ...] = ("Human pose estimation. <|image|>",)  # one of them by sample
    min_points: int = 6  # of one person, inside the crop: without such a person the sample is left out
    min_confidence: float = 0.3  # in [0, 1], of a point that counts

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, num_images=1)
        check_person_options(self.min_points, self.min_confidence)

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if drop := lacks(sample, framings, "image", "pose"):
            return drop
        if drop := lacks_person(sample, framings, min_points=self.min_points, min_confidence=self.min_confidence):
            return drop
        return ask_for_map(sample, framings, rng, role="pose", wordings=self.wordings)


def ask_for_map(sample: Sample, framings: Framings, rng: random.Random, *, role: str, wordings: Sequence[str]) -> Conversation | Drop:
    """The dialogue of the task that bears the map's name."""
    if drop := lacks(sample, framings, "image", role):
        return drop
    question = say(pick_wording(wordings, rng), images=[ImageRef("image")])
    return Conversation(sample.key, role, (Turn("user", question), Turn("assistant", (ImageRef(role),))))


def check_person_options(min_points: int, min_confidence: float) -> None:
    """
    Raises:
        ValueError: Out of range.
    """
    if min_points < 1:
        raise ValueError(f"min_points: at least 1 is wanted, got {min_points}")
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence lies in [0, 1], got {min_confidence:g}")


def lacks_person(sample: Sample, framings: Framings, *, min_points: int, min_confidence: float) -> Drop | None:
    """Why a skeleton that is drawn from `Sample.poses` would show nobody; None if it shows someone, or is stored as a picture.

    Args:
        min_points: Of one person, inside the crop.
        min_confidence: Of a point that counts.
    """
    if "pose" in sample.images:
        return None
    for pose in sample.poses:
        places = [framings["image"].point(x, y) for x, y, confidence in pose.points if confidence > 0 and confidence >= min_confidence]
        if sum(0 <= x <= 1 and 0 <= y <= 1 for x, y in places) >= min_points:
            return None
    return Drop(sample.key, "no_person_in_crop")
