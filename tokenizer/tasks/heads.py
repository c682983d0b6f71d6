"""Whose head is whose: the head that stands for a person's crop.

A head belongs to a person when its centre lies in the person's box and it is smaller than half of that box. Where boxes of several persons
hold it, as a mother's holds the child's on her arm, it belongs to the smallest of them. Two boxes at nearly the same place are one person,
found by two words. The paper says that head crops take the place of person crops, and not how a head is given to a person.

Source: MUMU (arXiv 2406.18790): 70 % of the person crops.
"""

from collections.abc import Collection, Sequence

from pipeline.boxes import box_area, box_overlap
from pipeline.persons import plain
from pipeline.samples import Box, Detection

HEAD_WORDS = ("head", "face")


def is_head(phrase: str, head_words: Collection[str]) -> bool:
    """Whether a phrase is a word for a head and nothing more: the horse's head is not the rider's."""
    return plain(phrase) in {plain(word) for word in head_words}


def find_head(person: Box, persons: Sequence[Box], heads: Sequence[Detection], max_overlap: float) -> Box | None:
    """The most confident head that belongs to a person; None if none does.

    Args:
        persons: All that were found; `person` may be among them.
        max_overlap: Intersection over union of two boxes, above which they are one person.
    """
    others = [box for box in persons if box_area(box) < box_area(person) and box_overlap(box, person) <= max_overlap]
    own = [head for head in heads if _holds(person, head.box) and not any(_holds(other, head.box) for other in others)]
    return max(own, key=lambda head: head.confidence).box if own else None


def widen_box(box: Box, margin: float) -> Box:
    """A box with a margin on each side, cut at the borders of the picture.

    Args:
        margin: As a fraction of the box's width and height.
    """
    x0, y0, x1, y1 = box
    x, y = margin * (x1 - x0), margin * (y1 - y0)
    return max(x0 - x, 0.0), max(y0 - y, 0.0), min(x1 + x, 1.0), min(y1 + y, 1.0)


def _holds(person: Box, head: Box) -> bool:
    x, y = (head[0] + head[2]) / 2, (head[1] + head[3]) / 2
    return person[0] <= x <= person[2] and person[1] <= y <= person[3] and box_area(head) < box_area(person) / 2
