"""Drawn persons: a posture at random, and the figure that it makes, in a circle of radius 1 around (0, 0); x to the right, y down.

      O       a round head
    --+--     shoulders, arms
      |
     / \\      hips, legs

A person faces us: the left hand is on the right of the picture. The face has no features: its points are where they would be on the head.

Source: the order of the points is that of COCO's person keypoints (cocodataset.org, person_keypoints_*.json, categories[0].keypoints).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from pipeline.sources.scene_shapes import Extent, Point

PERSON = "person"
HEAD = "head"
POINTS = (
    "nose",
    *(f"{side}_{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")),
)

HEAD_RADIUS, HEAD_HEIGHT = 0.2, 0.37  # the height of the head's middle above the shoulders; a person is about 1.9 tall before it is scaled
TORSO, SHOULDERS, HIPS = 0.55, 0.18, 0.13  # length, and half the width above and below
UPPER_ARM, FOREARM, THIGH, SHIN = 0.3, 0.28, 0.38, 0.38
THICKNESS = 0.09  # half the width of a limb
EYES, EARS = (0.38, -0.15), (0.75, 0.0)  # of the head's radius, aside and down from its middle


@dataclass(frozen=True, slots=True)
class Posture:
    """Angles in degrees; of a pair the first is the person's left."""

    lean: float  # of the body, to the right of the picture
    nod: float  # of the head, to the right of the picture
    upper_arms: tuple[float, float]  # limbs: from straight down, outwards
    forearms: tuple[float, float]
    thighs: tuple[float, float]
    shins: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """What is drawn of a person: a disc, a body and limbs with round ends, and where the points of the skeleton are."""

    points: tuple[Point, ...]  # in the order of POINTS
    head: tuple[float, float, float]  # x, y, radius
    body: tuple[Point, ...]  # corners
    bones: tuple[tuple[Point, Point], ...]  # from the middle of one end to that of the other; the body's sides and the neck, too
    thickness: float  # half the width of a bone

    @property
    def extent(self) -> Extent:
        discs = [self.head, *((x, y, self.thickness) for bone in self.bones for x, y in bone)]
        return _around(discs)

    @property
    def head_extent(self) -> Extent:
        return _around([self.head])


def draw_posture(dice: Callable[[], float]) -> Posture:
    """Standing or walking, with the arms anywhere but across the body."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * dice()

    lean, nod = between(-10, 10), between(-12, 12)
    limbs = []
    for _ in range(2):
        upper_arm, thigh = between(15, 150), between(4, 42)
        forearm = between(max(5, upper_arm - 75), min(170, upper_arm + 75))
        limbs.append((upper_arm, forearm, thigh, between(thigh - 30, thigh + 6)))
    upper_arms, forearms, thighs, shins = zip(*limbs, strict=True)
    return Posture(lean, nod, upper_arms, forearms, thighs, shins)


def make_figure(posture: Posture) -> Figure:
    """The figure of a posture, as large as its circle allows: the middle of its box is the middle of the circle."""
    at: dict[str, Point] = {}
    hips, up = (0.0, 0.0), 180 - posture.lean  # `_step` counts from straight down to the right
    shoulders = _step(hips, up, TORSO)
    head = _step(shoulders, 180 - posture.nod, HEAD_HEIGHT)
    at["nose"] = head
    for name, sign, number in (("left", 1, 0), ("right", -1, 1)):
        for part, (aside, down) in (("eye", EYES), ("ear", EARS)):
            turned = _step(head, sign * 90 - posture.nod, aside * HEAD_RADIUS)
            at[f"{name}_{part}"] = _step(turned, -posture.nod, down * HEAD_RADIUS)
        at[f"{name}_shoulder"] = _step(shoulders, sign * 90 - posture.lean, SHOULDERS)
        at[f"{name}_elbow"] = _step(at[f"{name}_shoulder"], sign * posture.upper_arms[number], UPPER_ARM)
        at[f"{name}_wrist"] = _step(at[f"{name}_elbow"], sign * posture.forearms[number], FOREARM)
        at[f"{name}_hip"] = _step(hips, sign * 90 - posture.lean, HIPS)
        at[f"{name}_knee"] = _step(at[f"{name}_hip"], sign * posture.thighs[number], THIGH)
        at[f"{name}_ankle"] = _step(at[f"{name}_knee"], sign * posture.shins[number], SHIN)
    joints = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"), ("shoulder", "hip")
    bones = [(at[f"{side}_{a}"], at[f"{side}_{b}"]) for side in ("left", "right") for way in joints for a, b in pairwise(way)]
    bones += [(at["left_shoulder"], at["right_shoulder"]), (at["left_hip"], at["right_hip"]), (shoulders, head)]
    body = [at[name] for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
    raw = Figure(tuple(at[name] for name in POINTS), (*head, HEAD_RADIUS), tuple(body), tuple(bones), THICKNESS)
    return _fit(raw)


def _fit(figure: Figure) -> Figure:
    """The figure, moved and scaled into its circle."""
    x0, y0, x1, y1 = figure.extent
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    ends = [point for bone in figure.bones for point in bone]
    radius = max(math.dist((x, y), end) + figure.thickness for end in ends)
    radius = max(radius, math.dist((x, y), figure.head[:2]) + figure.head[2])

    def moved(point: Point) -> Point:
        return (point[0] - x) / radius, (point[1] - y) / radius

    return Figure(
        tuple(moved(point) for point in figure.points),
        (*moved(figure.head[:2]), figure.head[2] / radius),
        tuple(moved(point) for point in figure.body),
        tuple((moved(a), moved(b)) for a, b in figure.bones),
        figure.thickness / radius,
    )


def _step(point: Point, angle: float, length: float) -> Point:
    """The end of a way.

    Args:
        angle: Degrees from straight down, towards the right.
    """
    turn = math.radians(angle)
    return point[0] + length * math.sin(turn), point[1] + length * math.cos(turn)


def _around(discs: list[tuple[float, float, float]]) -> Extent:
    return (
        min(x - r for x, _, r in discs),
        min(y - r for _, y, r in discs),
        max(x + r for x, _, r in discs),
        max(y + r for _, y, r in discs),
    )
