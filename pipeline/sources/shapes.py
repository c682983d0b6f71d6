"""Drawn scenes of coloured shapes with exact captions, boxes, maps and edits: data for tests and for learning on a laptop.

    "a small green square left of a large yellow star on a blue ground"

Everything about a scene is a function of the seed and its key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.dice import dice
from pipeline.samples import Detection, Sample
from pipeline.sources.scene import COLORS, Scene, draw_lots, edit, pick
from pipeline.sources.scene_drawing import draw_depth, draw_image, draw_segmentation
from pipeline.sources.scene_shapes import SHAPES
from pipeline.sources.unit import Unit, cut_into_units

ROLES = ("image", "segmentation", "depth", "edited_1")
MIN_SIDE, MAX_SIDE = 16, 8192  # pixels


@dataclass(frozen=True)
class Shapes:
    """`count` scenes, keyed by their number."""

    count: int
    seed: int = 0
    sizes: tuple[str, ...] = ("128x128",)  # width x height in pixels; one of them by key
    max_things: int = 3  # 1 to 3 shapes a scene
    gradient_share: float = 0.2  # of the grounds fade from one colour to another
    texture_share: float = 0.0  # of the grounds are grainy; the caption does not say so
    roles: tuple[str, ...] = ("image",)  # which pictures of a scene: image, segmentation, depth, edited_1
    hold_out: tuple[str, ...] = ()  # "red circle", ...: never drawn, so that a model can be asked for what it has not seen

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is at least 1, got {self.count}")
        if not 1 <= self.max_things <= 3:
            raise ValueError(f"max_things is 1, 2 or 3, got {self.max_things}")
        for option in ("gradient_share", "texture_share"):
            if not 0 <= getattr(self, option) <= 1:
                raise ValueError(f"{option} lies in [0, 1], got {getattr(self, option)}")
        for size in self.sizes:
            if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", size) or not all(MIN_SIDE <= side <= MAX_SIDE for side in _parse(size)):
                raise ValueError(f"sizes: wants 'WIDTHxHEIGHT', {MIN_SIDE} to {MAX_SIDE} pixels a side, got {size!r}")
        for option, known in (("roles", ROLES), ("hold_out", tuple(f"{c} {s}" for c in COLORS for s in SHAPES))):
            if unknown := [name for name in getattr(self, option) if name not in known]:
                raise ValueError(f"{option}: {unknown[0]!r} is none of {', '.join(known)}")
        if not self.sizes or not self.roles:
            raise ValueError("sizes and roles want at least one entry each")
        if len(self.hold_out) > len(COLORS) * len(SHAPES) // 2:
            raise ValueError(f"hold_out: {len(self.hold_out)} of {len(COLORS) * len(SHAPES)} kinds leave too little to draw")

    def plan(self, unit_size: int) -> list[Unit]:
        return cut_into_units("shapes", self.count, unit_size)

    def read(self, unit: Unit) -> Iterator[Sample]:
        for number in range(unit.start, self.count if unit.stop is None else unit.stop):
            yield self.draw(f"{number:09d}")

    def fingerprint(self) -> dict[str, str]:
        return {"shapes": f"{self.count} scenes"}

    def scene(self, key: str) -> Scene:
        """What is in the scene of a key."""
        return draw_lots(dice(self.seed, key, "scene").random, self.max_things, self.gradient_share, frozenset(self.hold_out))

    def draw(self, key: str) -> Sample:
        """The sample of a key: any key, also beyond `count`."""
        width, height = _parse(pick(dice(self.seed, key, "size").random, self.sizes))
        noise = dice(self.seed, key, "texture")
        grain = noise.randbytes(width * height) if noise.random() < self.texture_share else b""
        scene = self.scene(key)
        caption, spans = scene.describe()
        edited, instruction = edit(dice(self.seed, key, "edit").random, scene, frozenset(self.hold_out))
        draw = {
            "image": lambda: draw_image(scene, width, height, grain),
            "segmentation": lambda: draw_segmentation(scene, width, height),
            "depth": lambda: draw_depth(scene, width, height),
            "edited_1": lambda: draw_image(edited, width, height, grain),
        }
        detections = tuple(
            Detection(thing.phrase, thing.box(width, height), 1.0, span) for thing, span in zip(scene.things, spans, strict=True)
        )
        metadata = {"instruction_1": instruction, "edited_caption_1": edited.describe()[0]} if "edited_1" in self.roles else {}
        return Sample(key, caption, {role: draw[role]() for role in self.roles}, detections=detections, metadata=metadata)


def _parse(size: str) -> tuple[int, int]:
    width, height = size.split("x")
    return int(width), int(height)
