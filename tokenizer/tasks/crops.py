"""Which parts of a picture may stand in its prompt: detections of the caption's own words, large enough, not the whole, seen in the answer.

Two crops never show the same words or the same thing. The paper gives no rule for that; here the more confident detection wins, the
earlier one between equals: against another whose words overlap its own in the caption ("man", "man in a hat"; several boxes for one word),
and against another whose box covers nearly the same place.

Source: MUMU (arXiv 2406.18790): the least size and the largest share of a crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.boxes import box_area, box_overlap, clip_box
from pipeline.samples import Box, Detection
from tokenizer.framing import Framing, part_pixels


@dataclass(frozen=True, slots=True)
class Candidate:
    """A part of the picture that may stand before its words."""

    number: int  # of the detection, in Sample.detections
    phrase: str
    box: Box  # inside the picture, as fractions of the original
    confidence: float
    span: tuple[int, int]  # characters of the caption


def find_candidates(
    caption: str,
    detections: Sequence[Detection],
    framing: Framing,
    *,
    min_confidence: float,
    min_side: int,
    max_share: float,
    min_visible: float,
) -> list[Candidate] | str:
    """The detections that can be shown, in their order; or why there are none: the reason of the bound that the last of them failed.

    Args:
        framing: Of the picture, which is the answer.
        min_side: Pixels of the original: the side of a square whose area a crop has at least.
        max_share: Of the picture's area, that a crop has at most.
        min_visible: Share of a box that remains in the answer at least.
    """
    found = [
        Candidate(number, detection.phrase, clip_box(detection.box), detection.confidence, detection.span)
        for number, detection in enumerate(detections)
        if detection.confidence >= min_confidence and detection.span is not None and _has_words(caption, detection.span)
    ]
    if not found:
        return "no_detection"
    if not (found := [candidate for candidate in found if pixel_area(candidate.box, framing) >= min_side**2]):
        return "crops_too_small"
    if not (found := [candidate for candidate in found if picture_share(candidate.box, framing) <= max_share]):
        return "crops_too_large"
    return [candidate for candidate in found if framing.box(candidate.box)[1] >= min_visible] or "crops_cut_away"


def settle_overlaps(candidates: Sequence[Candidate], max_overlap: float) -> list[Candidate]:
    """What is left when of two that show the same words or the same place the more confident one stays; in the order of the caption.

    Args:
        max_overlap: Intersection over union of two boxes, above which they are one place.
    """
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda candidate: -candidate.confidence):
        if not any(_share_words(candidate.span, other.span) or box_overlap(candidate.box, other.box) > max_overlap for other in kept):
            kept.append(candidate)
    return sorted(kept, key=lambda candidate: candidate.span)


def pixel_area(box: Box, framing: Framing) -> int:
    """Pixels of the original that are cut out; 0 for a box without an inside."""
    if not box_area(box):
        return 0
    x0, y0, x1, y1 = part_pixels(box, framing.original_width, framing.original_height)
    return (x1 - x0) * (y1 - y0)


def picture_share(box: Box, framing: Framing) -> float:
    """The share of the picture that is cut out, in [0, 1]."""
    return pixel_area(box, framing) / (framing.original_width * framing.original_height)


def _has_words(caption: str, span: tuple[int, int]) -> bool:
    start, stop = span
    return 0 <= start < stop <= len(caption) and not caption[start:stop].isspace()


def _share_words(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]
