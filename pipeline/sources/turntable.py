"""Drawn boxes with coloured sides, seen from all around: one thing in many views, and which sides each of them shows.

    "a box with red, green, blue and yellow sides on a white ground"     view_1 ... view_16

       ____________
      /   gray    /|
     /___________/ |      view_2: the first side, and the second one that comes in at the right
     |     1     |2/
     |___________|/

The camera goes around once in even steps, counterclockwise as seen from above, and looks down a little; view_1 faces the first side of the
caption, and the others come in its order. The top is gray in every picture; no caption says so. Orthographic, so a box is as large in
every view. Colours are flat, edges smooth.

Everything about a box is a function of the seed and its key.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

from pipeline.dice import dice
from pipeline.roles import VIEW, numbered
from pipeline.samples import Sample
from pipeline.sources.picture_size import parse_size
from pipeline.sources.scene import COLORS, between, pick
from pipeline.sources.scene_drawing import SUPERSAMPLING, encode_png
from pipeline.sources.scene_shapes import Point
from pipeline.sources.unit import Unit, cut_into_units

GROUND, TOP = "white", "gray"
NUM_SIDES = 4
MAX_VIEWS = 360
MAX_ELEVATION = 60  # degrees; from higher up hardly anything of the sides is seen
MARGIN = 0.08  # of the shorter side: at least so much ground remains around a box in every view
EDGE_ON = 1e-9  # a side whose normal lies this near to the picture's plane is not seen


@dataclass(frozen=True, slots=True)
class Cuboid:
    """A cuboid in the middle of the picture."""

    colors: tuple[str, ...]  # of its sides, counterclockwise as seen from above
    depth: float  # half of it, away from the first side; in units of the picture's shorter side, as the others
    width: float  # half of it, along the first side
    height: float  # half of it


@dataclass(frozen=True, slots=True)
class VisibleSide:
    """A side of a box as one view shows it."""

    color: str
    left: float  # pixels from the picture's left border
    right: float


@dataclass(frozen=True)
class Turntable:
    """`count` boxes, keyed by their number."""

    count: int
    seed: int = 0
    views: int = 16  # azimuths, evenly around
    size: str = "384x384"  # width x height in pixels
    elevation: float = 20.0  # degrees that the camera looks down, 0 to 60; from 0 no top is seen

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is at least 1, got {self.count}")
        if not 1 <= self.views <= MAX_VIEWS:
            raise ValueError(f"views: 1 to {MAX_VIEWS}, got {self.views}")
        if not 0 <= self.elevation <= MAX_ELEVATION:
            raise ValueError(f"elevation: 0 to {MAX_ELEVATION} degrees, got {self.elevation}")
        parse_size("size", self.size)

    def plan(self, unit_size: int) -> list[Unit]:
        return cut_into_units("turntable", self.count, unit_size)

    def read(self, unit: Unit) -> Iterator[Sample]:
        for number in range(unit.start, self.count if unit.stop is None else unit.stop):
            yield self.draw(f"{number:09d}")

    def fingerprint(self) -> dict[str, str]:
        return {"turntable": f"{self.count} boxes"}

    def box(self, key: str) -> Cuboid:
        """The box of a key."""
        roll = dice(self.seed, key, "box").random
        colors: list[str] = []
        for _ in range(NUM_SIDES):
            colors.append(pick(roll, [color for color in COLORS if color not in (GROUND, TOP, *colors)]))
        depth, width, height = between(roll, 0.6, 1.0), between(roll, 0.6, 1.0), between(roll, 0.5, 1.1)
        tilt, around = math.radians(self.elevation), math.hypot(depth, width)
        scale = (0.5 - MARGIN) / max(around, height * math.cos(tilt) + around * math.sin(tilt))
        return Cuboid(tuple(colors), depth * scale, width * scale, height * scale)

    def azimuth(self, view: int) -> float:
        """Degrees, counterclockwise as seen from above, of a view from 1 on; 0 faces the first side."""
        return 360 * (view - 1) / self.views

    def visible(self, key: str, view: int) -> tuple[VisibleSide, ...]:
        """The sides that a view, from 1 on, shows: from left to right, touching. A side is seen in no other column."""
        width, _ = parse_size("size", self.size)
        box, scale = self.box(key), self._scale
        sides = []
        for number in self._seen(view):
            xs = [width / 2 + scale * self._project(corner, view)[0] for corner in _side(box, number)]
            sides.append(VisibleSide(box.colors[number], min(xs), max(xs)))
        return tuple(sorted(sides, key=lambda side: side.left))

    def draw(self, key: str) -> Sample:
        """The sample of a key: any key, also beyond `count`."""
        *first, last = self.box(key).colors
        caption = f"a box with {', '.join(first)} and {last} sides on a {GROUND} ground"
        images = {numbered(VIEW, view): self._draw_view(key, view) for view in range(1, self.views + 1)}
        metadata = {"azimuths": [self.azimuth(view) for view in range(1, self.views + 1)], "elevation": self.elevation}
        return Sample(key, caption, images, metadata=metadata)

    @property
    def _scale(self) -> int:
        """Pixels of the shorter side."""
        return min(parse_size("size", self.size))

    def _draw_view(self, key: str, view: int) -> bytes:
        width, height = (side * SUPERSAMPLING for side in parse_size("size", self.size))
        image = Image.new("RGB", (width, height), COLORS[GROUND])
        pen, box, scale = ImageDraw.Draw(image), self.box(key), self._scale * SUPERSAMPLING
        faces = [(COLORS[box.colors[number]], _side(box, number)) for number in self._seen(view)]
        if self.elevation > 0:
            faces.append((COLORS[TOP], _top(box)))
        for color, corners in faces:
            projected = (self._project(corner, view) for corner in corners)
            pen.polygon([(width / 2 + scale * x, height / 2 - scale * y) for x, y in projected], fill=color)
        return encode_png(image.reduce(SUPERSAMPLING))

    def _seen(self, view: int) -> list[int]:
        """The numbers of the sides whose front a view shows."""
        azimuth = math.radians(self.azimuth(view))
        return [number for number in range(NUM_SIDES) if math.cos(number * math.pi / 2 - azimuth) > EDGE_ON]

    def _project(self, point: tuple[float, float, float], view: int) -> Point:
        """Where a point of the box lies on a view: to the right and up from the picture's middle."""
        x, y, z = point
        azimuth, elevation = math.radians(self.azimuth(view)), math.radians(self.elevation)
        nearer = x * math.cos(azimuth) + y * math.sin(azimuth)
        return y * math.cos(azimuth) - x * math.sin(azimuth), z * math.cos(elevation) - nearer * math.sin(elevation)


def _side(box: Cuboid, number: int) -> list[tuple[float, float, float]]:
    """Corners of a side; x points out of the first one, y out of the second, z up."""
    first, second = _CORNERS[number], _CORNERS[(number + 1) % NUM_SIDES]
    return [(x * box.depth, y * box.width, z * box.height) for (x, y), z in ((first, -1), (second, -1), (second, 1), (first, 1))]


def _top(box: Cuboid) -> list[tuple[float, float, float]]:
    return [(x * box.depth, y * box.width, box.height) for x, y in _CORNERS]


_CORNERS = ((1, -1), (1, 1), (-1, 1), (-1, -1))  # x, y: side n lies between corners n and n + 1
