"""Drawn scenes whose truth is known, the dialogues that tasks make of them, and what the colours of a cut picture say is where.

Nothing here knows how a picture is cut: where a thing is, is read off the cut picture itself. So what a map, a box or a skeleton says can
be held against what is seen. Things of one scene differ in colour.

Shapes: H, W are the pixels of a cut picture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.images import read_header
from pipeline.samples import IMAGE_MARK, ImageRef, Sample
from pipeline.sources.scene import COLORS, Scene, Thing
from pipeline.sources.shapes import Shapes
from pipeline.unit_job import Work
from tokenizer.finisher import SequenceMaker

GROUND, UNSURE = -1, -2
REACH = 1  # pixels: a pixel is away from edges when all that are this near have one colour

Bounds = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, x1 and y1 not inside


@dataclass(frozen=True, eq=False)
class Dialogue:
    """What a task made of a sample, with the very pixels that go to the VQ."""

    words: tuple[str, ...]  # of each turn, with IMAGE_MARK where a picture stands
    refs: tuple[ImageRef, ...]  # in order
    pictures: tuple[np.ndarray, ...]  # uint8 [H, W, 3] of each ref
    notes: Mapping[str, Any]


def with_headers(sample: Sample) -> Sample:
    """As the runner hands it on."""
    return replace(sample, headers={role: read_header(data) for role, data in sample.images.items()})


def told_apart(source: Shapes, count: int) -> Iterator[Sample]:
    """The first `count` samples of a source whose things differ in colour, before edits and after each."""
    key = 0
    while count:
        if all(len({thing.color for thing in scene.things}) == len(scene.things) for scene in source.edits(str(key))[0]):
            yield with_headers(source.draw(str(key)))
            count -= 1
        key += 1


def converse(maker: SequenceMaker, sample: Sample) -> dict[str, Dialogue]:
    """The dialogue of each task that this sample can feed, by `draft_name`."""
    work = maker.work(sample)
    if not isinstance(work, Work):
        return {}
    by_ref = {picture.ref: pixels for picture, pixels in zip(work.pictures, maker.pixels(sample, work), strict=True)}
    made = {}
    for draft in work.drafts:
        turns = draft.outline.conversation.turns
        words = tuple("".join(IMAGE_MARK if isinstance(part, ImageRef) else part for part in turn.content) for turn in turns)
        refs = tuple(part for turn in turns for part in turn.content if isinstance(part, ImageRef))
        made[draft_name(draft.outline.conversation.task, draft.metadata)] = Dialogue(
            words, refs, tuple(by_ref[ref] for ref in refs), draft.metadata
        )
    return made


def draft_name(task: str, metadata: Mapping[str, Any]) -> str:
    """Of one of a sample's sequences: the task's name; of the second one of a task "grounding 1"."""
    return f"{task} {metadata['repeat']}" if "repeat" in metadata else task


def is_color(picture: np.ndarray, color: str) -> np.ndarray:
    """[H, W] bool: where a picture has exactly this colour."""
    return (picture == COLORS[color]).all(axis=2)


def see_flat(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """[H, W] int: GROUND, or the number of the thing that has exactly the pixel's colour; UNSURE on smooth edges."""
    seen = np.full(picture.shape[:2], UNSURE)
    seen[is_color(picture, scene.ground)] = GROUND
    for number, thing in enumerate(scene.things):
        seen[is_color(picture, thing.color)] = number
    return seen


def see(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """[H, W] int: GROUND, or the number of the thing that covers most of the pixel, by its colour.

    Pixels of smooth edges go to the thing beside them where they have more of its colour than of the ground's.
    """
    seen = see_flat(picture, scene)
    num_unsure = -1
    while num_unsure != (num_unsure := int((seen == UNSURE).sum())):
        for number in range(len(scene.things)):
            seen[(seen == UNSURE) & widen(seen == number, 1)] = number
    ground = np.array(COLORS[scene.ground])
    for number, thing in enumerate(scene.things):
        way = COLORS[thing.color] - ground
        seen[(seen == number) & (2 * ((picture - ground) @ way) < way @ way)] = GROUND
    return np.where(seen == UNSURE, GROUND, seen)


def away_from_edges(picture: np.ndarray, scene: Scene, reach: int = REACH) -> np.ndarray:
    """[H, W] bool: where all pixels up to `reach` away have exactly one colour, the ground's or a thing's."""
    flat = see_flat(picture, scene)
    padded = np.pad(flat, reach, mode="edge")
    height, width = flat.shape
    same = flat != UNSURE
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            same &= padded[y : y + height, x : x + width] == flat
    return same


def widen(where: np.ndarray, reach: int, *, beyond: bool = False) -> np.ndarray:
    """[H, W] bool: all pixels that are up to `reach` away from those.

    Args:
        beyond: What is taken to be past the borders of the picture.
    """
    padded = np.pad(where, reach, constant_values=beyond)
    height, width = where.shape
    wide = np.zeros(where.shape, bool)
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            wide |= padded[y : y + height, x : x + width]
    return wide


def bounds(where: np.ndarray) -> Bounds:
    """The box around the pixels that are set."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def is_whole(where: np.ndarray, reach: int = 1) -> bool:
    """Whether something ends before the borders of the picture: nothing of it was cut away."""
    x0, y0, x1, y1 = bounds(where)
    return x0 >= reach and y0 >= reach and x1 <= where.shape[1] - reach and y1 <= where.shape[0] - reach


@dataclass(frozen=True, eq=False)
class Sight:
    """What the colours of a cut picture say is where."""

    seen: np.ndarray  # [H, W] int, as `see` returns it
    is_sure: np.ndarray  # [H, W] bool, away from edges


def look_at(picture: np.ndarray, scene: Scene) -> Sight:
    return Sight(see(picture, scene), away_from_edges(picture, scene))


@dataclass(frozen=True)
class Place:
    """Where the points of an original lie on a cut picture, by a thing that is seen whole on it."""

    original: tuple[float, float, float, float]  # the thing's box, as fractions
    cut: Bounds  # pixels

    def at(self, x: float, y: float) -> tuple[float, float]:
        """In pixels of the cut picture; x and y are fractions of the original."""
        (a0, b0, a1, b1), (x0, y0, x1, y1) = self.original, self.cut
        return x0 + (x - a0) / (a1 - a0) * (x1 - x0), y0 + (y - b0) / (b1 - b0) * (y1 - y0)


def place_of(thing: Thing, size: tuple[int, int], where: np.ndarray) -> Place:
    """
    Args:
        size: Width and height of the original, pixels.
        where: [H, W] bool: the thing's pixels on the cut picture, all of them.
    """
    return Place(thing.box(*size), bounds(where))
