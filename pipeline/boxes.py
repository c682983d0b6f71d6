"""Boxes: cut at the borders of their picture, their areas, how far two of them are the same."""

from pipeline.samples import Box


def clip_box(box: Box) -> Box:
    """A box cut at the borders of its picture: detectors reach beyond them."""
    x0, y0, x1, y1 = (min(max(float(value), 0.0), 1.0) for value in box)
    return x0, y0, x1, y1


def box_area(box: Box) -> float:
    """As a fraction of the picture; 0 for a box without an inside."""
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0) if x0 < x1 and y0 < y1 else 0.0


def box_overlap(one: Box, other: Box) -> float:
    """Intersection over union, in [0, 1]."""
    shared = box_area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
    union = box_area(one) + box_area(other) - shared
    return shared / union if union > 0 else 0.0
