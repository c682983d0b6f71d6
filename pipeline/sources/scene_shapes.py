"""The outlines of drawn shapes, each in a circle of radius 1 around (0, 0); x to the right, y down."""

import math

Point = tuple[float, float]
Extent = tuple[float, float, float, float]  # x0, y0, x1, y1


def _regular(num_corners: int, turn: float = 0.0) -> tuple[Point, ...]:
    """Corners of a regular polygon, the first one on top, turned clockwise by `turn` of a corner's angle."""
    angles = (2 * math.pi * (i + turn) / num_corners for i in range(num_corners))
    return tuple((math.sin(a), -math.cos(a)) for a in angles)


def _star(num_points: int, notch: float) -> tuple[Point, ...]:
    """Points on the circle, and notches at `notch` of its radius."""
    tips, notches = _regular(num_points), _regular(num_points, turn=0.5)
    return tuple(p for tip, (x, y) in zip(tips, notches, strict=True) for p in (tip, (x * notch, y * notch)))


def _cross(arm: float) -> tuple[Point, ...]:
    """An upright cross whose arms are 2 `arm` wide."""
    end = math.sqrt(1 - arm * arm)
    quarter = [(arm, -end), (arm, -arm), (end, -arm)]
    corners = []
    for _ in range(4):
        corners += quarter
        quarter = [(-y, x) for x, y in quarter]
    return tuple(corners)


OUTLINES: dict[str, tuple[Point, ...]] = {  # a circle has no corners
    "circle": (),
    "square": _regular(4, turn=0.5),
    "triangle": _regular(3),
    "star": _star(5, notch=0.45),
    "diamond": tuple((x * 0.7, y) for x, y in _regular(4)),
    "cross": _cross(arm=0.36),
    "ring": (),
    "hexagon": _regular(6, turn=0.5),
}
SHAPES = tuple(OUTLINES)
RING_HOLE = 0.55  # of the ring's radius


def extent(shape: str) -> Extent:
    """Of a shape in its circle of radius 1."""
    points = OUTLINES[shape] or ((-1.0, -1.0), (1.0, 1.0))
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
