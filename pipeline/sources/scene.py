"""Scenes of coloured shapes and persons: what is in one, how its caption says it, how it is edited. No pixels here.

A scene is a function of its dice alone. Lengths are in units of the picture's shorter side, so a scene fits every size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pipeline.samples import Box
from pipeline.sources.scene_people import PERSON, Posture, draw_posture, make_figure
from pipeline.sources.scene_shapes import SHAPES, Extent, Point, extent

Dice = Callable[[], float]  # uniform in [0, 1): the one number that every Python version draws alike
T = TypeVar("T")

HUGE = "huge"  # nearly as large as the picture: alone, and in the middle
COLORS = {
    "red": (214, 39, 40),
    "orange": (255, 140, 26),
    "yellow": (250, 214, 30),
    "green": (44, 160, 44),
    "cyan": (38, 198, 218),
    "blue": (31, 83, 200),
    "purple": (128, 62, 172),
    "pink": (245, 130, 190),
    "brown": (124, 78, 45),
    "gray": (128, 128, 128),
    "black": (20, 20, 20),
    "white": (245, 245, 245),
}
RADII = {"small": (0.09, 0.12), "": (0.15, 0.18), "large": (0.21, 0.24), HUGE: (0.34, 0.4)}  # by the word that says it; gaps keep it true
COMMON_SIZES = ("small", "", "large")
SMALLEST = ("small", "")  # of which three fit side by side
MAX_RADIUS = 0.45  # of the shorter side, divided by the number of things in a row: they never touch
MIDDLE = "in the middle"
PLACE_SAID = 0.5  # of the captions of single shapes say where it is
PLACES = {  # of a single shape: centre in [0, 1] of width and height
    "at the top left": (0.27, 0.27),
    "at the top": (0.5, 0.27),
    "at the top right": (0.73, 0.27),
    "on the left": (0.27, 0.5),
    MIDDLE: (0.5, 0.5),
    "on the right": (0.73, 0.5),
    "at the bottom left": (0.27, 0.73),
    "at the bottom": (0.5, 0.73),
    "at the bottom right": (0.73, 0.73),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape in a scene, or a person."""

    color: str
    shape: str
    size: str  # "small", "" or "large"
    x: float  # of the centre, as a fraction of the width
    y: float  # of the centre, as a fraction of the height
    radius: float  # of the circle around it, as a fraction of the shorter side
    posture: Posture | None = None  # of a person

    @property
    def phrase(self) -> str:
        """What a caption calls it, without its article: "small red circle"."""
        return f"{self.size} {self.color} {self.shape}".strip()

    @property
    def extent(self) -> Extent:
        """Of what is drawn, in its circle of radius 1."""
        return extent(self.shape) if self.posture is None else make_figure(self.posture).extent

    def box(self, width: int, height: int, part: Extent | None = None) -> Box:
        """The box around it, or around a part of its circle, on a width x height picture."""
        x0, y0, x1, y1 = part or self.extent
        return *self.place((x0, y0), width, height), *self.place((x1, y1), width, height)

    def place(self, point: Point, width: int, height: int) -> Point:
        """A point of its circle as fractions of a width x height picture."""
        rx, ry = (self.radius * min(width, height) / side for side in (width, height))
        return self.x + rx * point[0], self.y + ry * point[1]


@dataclass(frozen=True, slots=True)
class Scene:
    """Shapes that do not touch, on a ground."""

    things: tuple[Thing, ...]
    ground: str  # a colour
    ground_end: str = ""  # the colour at the bottom, where the ground fades from one to another
    layout: str = ""  # how they lie: a key of PLACES for one, "row" or "column" for more; empty: one whose place goes unsaid

    def describe(self) -> tuple[str, list[tuple[int, int]]]:
        """The caption, and where in it each thing's phrase stands (half-open, in characters)."""
        ground = (
            f"a ground that fades from {self.ground} to {self.ground_end}" if self.ground_end else f"{with_article(self.ground)} ground"
        )
        horizontal = self.layout == "row"
        if len(self.things) == 1:
            joints, tail = [], f" {self.layout}, on {ground}"
        elif len(self.things) == 2:
            joints, tail = [" left of " if horizontal else " above "], f" on {ground}"
        else:
            joints, tail = [", ", " and "], f" from {'left to right' if horizontal else 'top to bottom'}, on {ground}"
        if self.layout == "":
            tail = f" on {ground}"
        caption, spans = "", []
        for joint, thing in zip(["", *joints], self.things, strict=True):
            caption += joint + with_article(thing.phrase)
            spans.append((len(caption) - len(thing.phrase), len(caption)))
        return caption + tail, spans


def draw_lots(
    dice: Dice,
    max_things: int,
    gradient_share: float,
    hold_out: frozenset[str],
    *,
    sizes: Sequence[str] = COMMON_SIZES,
    grounds: Sequence[str] = tuple(COLORS),
) -> Scene:
    """A scene at random.

    Args:
        max_things: 1 to 3.
        gradient_share: How many of the grounds fade from one colour to another, in [0, 1].
        hold_out: "red circle", ...: never drawn.
        sizes: Words of RADII, of which the things are; three in a row are small or without a word.
        grounds: Colours.
    """
    num_things = 1 + int(dice() * max_things)
    ground = pick(dice, grounds)
    ground_end = pick(dice, [c for c in grounds if c != ground]) if dice() < gradient_share else ""
    kinds = [(c, s) for c in COLORS if c not in (ground, ground_end) for s in SHAPES if f"{c} {s}" not in hold_out]
    if num_things == 1:
        place = pick(dice, list(PLACES))
        is_said = dice() < PLACE_SAID
        size = pick(dice, sizes)
        place = MIDDLE if size == HUGE else place
        layout = place if is_said else ""
        radius = between(dice, *RADII[size])
        x, y = (middle + between(dice, -0.03, 0.03) for middle in PLACES[place])
        return Scene((Thing(*pick(dice, kinds), size, x, y, radius),), ground, ground_end, layout)
    layout = pick(dice, ("row", "column"))
    things: list[Thing] = []
    for number in range(num_things):
        kind = pick(dice, [k for k in kinds if k not in [(t.color, t.shape) for t in things]])
        size = pick(dice, sizes if num_things == 2 else [word for word in sizes if word in SMALLEST])
        along = (number + 0.5) / num_things + between(dice, -0.01, 0.01)
        across = 0.5 + between(dice, -0.08, 0.08)
        x, y = (along, across) if layout == "row" else (across, along)
        things.append(Thing(*kind, size, x, y, min(between(dice, *RADII[size]), MAX_RADIUS / num_things)))
    return Scene(tuple(things), ground, ground_end, layout)


def put_person(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> Scene:
    """The scene with a person in the place of one thing, of its colour where that is not held out."""
    index = int(dice() * len(scene.things))
    posture = draw_posture(dice)
    colors = [c for c in COLORS if c not in (scene.ground, scene.ground_end) and f"{c} {PERSON}" not in hold_out]
    other = pick(dice, colors)
    thing = scene.things[index]
    color = thing.color if thing.color in colors else other
    return _with(scene, index, replace(thing, color=color, shape=PERSON, posture=posture))


def edit(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[Scene, str]:
    """Another scene that differs in one thing, and the instruction that makes it so. A person stays one."""
    index = int(dice() * len(scene.things))
    thing = scene.things[index]
    taken = {(t.color, t.shape) for t in scene.things}
    grounds = (scene.ground, scene.ground_end)

    def allowed(color: str, shape: str) -> bool:
        return color not in grounds and (color, shape) not in taken and f"{color} {shape}" not in hold_out

    changes: list[tuple[Scene, str]] = []
    if colors := [c for c in COLORS if allowed(c, thing.shape)]:
        color = pick(dice, colors)
        changes.append((_with(scene, index, replace(thing, color=color)), f"Make the {thing.phrase} {color}."))
    if thing.posture is None and (shapes := [s for s in SHAPES if allowed(thing.color, s)]):
        shape = pick(dice, shapes)
        changes.append((_with(scene, index, replace(thing, shape=shape)), f"Turn the {thing.phrase} into {with_article(shape)}."))
    used = {t.color for t in scene.things} | set(grounds)
    color = pick(dice, [c for c in COLORS if c not in used])
    changes.append((replace(scene, ground=color, ground_end=""), f"Make the ground {color}."))
    return pick(dice, changes)


def changed_thing(before: Scene, after: Scene) -> int | None:
    """Which thing an edit changed; None: the ground."""
    return next((i for i, (old, new) in enumerate(zip(before.things, after.things, strict=True)) if old != new), None)


def pick(dice: Dice, choices: Sequence[T]) -> T:
    return choices[int(dice() * len(choices))]


def between(dice: Dice, low: float, high: float) -> float:
    return low + (high - low) * dice()


def with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _with(scene: Scene, index: int, thing: Thing) -> Scene:
    return replace(scene, things=(*scene.things[:index], thing, *scene.things[index + 1 :]))
