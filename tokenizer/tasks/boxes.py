"""A phrase whose boxes the crop has left, drawn by seed, and the picture with these boxes on it: what grounding and referring share."""

import random
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import ImageColor

from pipeline.samples import Box, Detection, Drop, ImageRef, Mark, Sample
from tokenizer.framing import Framing, Framings
from tokenizer.tasks.task import lacks, pick

LINES_A_SIDE = 80  # an automatic line is this part of the picture's shorter side: 6 pixels of 512; 2 of 256 were lost in the bundled VQ
MIN_LINE = 3  # pixels
SLACK = 1e-6  # pixels: what fractions lose


class BoxOptions(Protocol):
    """The options that both tasks have."""

    @property
    def color(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def min_confidence(self) -> float: ...

    @property
    def min_visible(self) -> float: ...

    @property
    def min_side(self) -> int: ...

    @property
    def all_boxes(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class MarkedPicture:
    """The main picture with the boxes of a phrase."""

    phrase: str
    ref: ImageRef

    @property
    def notes(self) -> dict[str, Any]:
        """What is stored beside the tokens: the phrase, and its boxes as fractions of the crop."""
        return {"phrase": self.phrase, "boxes": [[round(value, 4) for value in mark.box] for mark in self.ref.marks]}


def check_box_options(options: BoxOptions) -> None:
    """
    Raises:
        ValueError: Out of range, or no colour.
    """
    try:
        color = ImageColor.getrgb(options.color)
    except ValueError as error:
        raise ValueError(f"color: wants a name that Pillow knows, or #rrggbb; got {options.color!r}") from error
    if len(color) != 3:
        raise ValueError(f"color: boxes are opaque, got {options.color!r}")
    if options.width < 0:
        raise ValueError(f"width: pixels are wanted, or 0 for an automatic one; got {options.width}")
    if not 0 <= options.min_confidence <= 1:
        raise ValueError(f"min_confidence lies in [0, 1], got {options.min_confidence:g}")
    if not 0 < options.min_visible <= 1:
        raise ValueError(f"min_visible is above 0 and at most 1, got {options.min_visible:g}")
    if options.min_side < 1:
        raise ValueError(f"min_side: at least 1 pixel is wanted, got {options.min_side}")


def mark_phrase(sample: Sample, framings: Framings, options: BoxOptions, rng: random.Random) -> MarkedPicture | Drop:
    """Draw one of the phrases that have a box left, and mark its boxes.

    Returns:
        The marked picture; or a Drop: `no_image`, `no_detection` (none with a phrase and the confidence), `box_cut_away` (none that shows
        enough of itself), `box_too_small`.
    """
    if drop := lacks(sample, framings, "image"):
        return drop
    found = [(clean_phrase(detection.phrase), detection) for detection in sample.detections]
    found = [(phrase, detection) for phrase, detection in found if phrase and detection.confidence >= options.min_confidence]
    if not found:
        return Drop(sample.key, "no_detection")
    left = [(phrase, box) for phrase, detection in found if (box := _visible_box(detection, framings["image"], options.min_visible))]
    if not left:
        return Drop(sample.key, "box_cut_away")
    width, height = framings["image"].size
    boxes: dict[str, list[Box]] = {}
    spellings: dict[str, str] = {}
    for phrase, box in left:
        if min((box[2] - box[0]) * width, (box[3] - box[1]) * height) >= options.min_side - SLACK:
            boxes.setdefault(phrase.casefold(), []).append(box)
            spellings.setdefault(phrase.casefold(), phrase)
    if not boxes:
        return Drop(sample.key, "box_too_small")
    chosen = pick(list(boxes), rng)
    marked = boxes[chosen] if options.all_boxes else [pick(boxes[chosen], rng)]
    line = options.width or max(MIN_LINE, round(min(width, height) / LINES_A_SIDE))
    return MarkedPicture(spellings[chosen], ImageRef("image", marks=tuple(Mark(box, options.color, line) for box in marked)))


def clean_phrase(phrase: str) -> str:
    """Without spaces around it, and without the full stop of a caption's or a label's end: the task's words bring their own."""
    return phrase.strip().removesuffix(".").rstrip()


def _visible_box(detection: Detection, framing: Framing, min_visible: float) -> Box | None:
    """As fractions of the crop; None where too little of it is left."""
    box, visible = framing.box(detection.box)
    return box if visible >= min_visible else None
