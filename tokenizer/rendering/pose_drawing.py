"""Persons as skeletons on black, drawn from their body points.

    coco17    nose, left and right eye, ear, shoulder, elbow, wrist, hip, knee, ankle: left before right, as COCO orders them

The common drawing of OpenPose's 18 body points, on which pose-controlled models are trained: 17 limbs as slim ellipses in a rainbow of
colours, at three fifths of their brightness, and a dot of full brightness at each point. The neck, which COCO has not, is the middle of the
shoulders where both are seen. A point of less confidence than 0.3 is not drawn, nor a limb that ends in it. Limbs of all persons come
first, then their dots. Points move with the crop; limbs that leave it are cut off there.

This drawing is our own, after the convention: its sizes grow with the crop (at a shorter side of 512 they are OpenPose's), and it has hard
edges, so that it holds these colours and no others, on every machine.

Source: the order of points and limbs and the colours: OpenPose (arXiv 1812.08008), as drawn for ControlNet (arXiv 2302.05543).
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.images import Crop, PictureError
from pipeline.samples import Box, Pose

MIN_CONFIDENCE = 0.3  # of a point that is drawn
LIMB_HALF_WIDTH = 1 / 128  # of the crop's shorter side
DOT_RADIUS = 1 / 128  # of the crop's shorter side
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

NECK = 17  # after the 17 points of COCO
NUM_POINTS = {"coco17": 17}
RAINBOW = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
OPENPOSE_ORDER = (0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)  # the dot of the nth has the nth colour
LIMBS = (  # the nth has the nth colour
    *((NECK, 6), (NECK, 5), (6, 8), (8, 10), (5, 7), (7, 9)),  # shoulders, then the right arm and the left
    *((NECK, 12), (12, 14), (14, 16), (NECK, 11), (11, 13), (13, 15)),  # the right side and leg, then the left
    *((NECK, 0), (0, 2), (2, 4), (0, 1), (1, 3)),  # the head: right eye and ear, then the left
)


def draw_poses(poses: Sequence[Pose], crop: Crop, part: Box = WHOLE) -> np.ndarray:
    """uint8 [H, W, 3] of the crop's size.

    Args:
        part: What the crop was planned for, as fractions of the picture that the points lie in.

    Raises:
        PictureError: `unknown_pose_layout`, or `bad_pose` for a wrong number of points.
    """
    canvas = np.zeros((crop.height, crop.width, 3), np.uint8)
    side = min(crop.width, crop.height)
    persons = [_joints(pose, crop, part) for pose in poses]
    for (first, second), color in zip(LIMBS, RAINBOW[: len(LIMBS)], strict=True):  # points are more than limbs, and have the last colour
        for joints in persons:
            if first in joints and second in joints:
                shade = [value * 3 // 5 for value in color]
                _fill_ellipse(canvas, joints[first], joints[second], max(1.0, side * LIMB_HALF_WIDTH), shade)
    for point, color in zip(OPENPOSE_ORDER, RAINBOW, strict=True):
        for joints in persons:
            if point in joints:
                _fill_dot(canvas, joints[point], max(1.0, side * DOT_RADIUS), color)
    return canvas


def _joints(pose: Pose, crop: Crop, part: Box) -> dict[int, tuple[float, float]]:
    """The points that are drawn, in pixels of the crop."""
    if pose.layout not in NUM_POINTS:
        raise PictureError("unknown_pose_layout", f"{' or '.join(NUM_POINTS)} can be drawn, got {pose.layout!r}")
    if len(pose.points) != NUM_POINTS[pose.layout]:
        raise PictureError("bad_pose", f"{pose.layout} has {NUM_POINTS[pose.layout]} points, got {len(pose.points)}")
    joints = {}
    for index, (x, y, confidence) in enumerate(pose.points):
        if confidence >= MIN_CONFIDENCE and -1 <= x <= 2 and -1 <= y <= 2:  # farther out, or NaN: not a place
            across, down = (x - part[0]) / (part[2] - part[0]), (y - part[1]) / (part[3] - part[1])
            joints[index] = (across * crop.scaled_width - crop.x, down * crop.scaled_height - crop.y)
    if 5 in joints and 6 in joints:
        joints[NECK] = ((joints[5][0] + joints[6][0]) / 2, (joints[5][1] + joints[6][1]) / 2)
    return joints


def _fill_ellipse(
    canvas: np.ndarray, start: tuple[float, float], end: tuple[float, float], half_width: float, color: Sequence[int]
) -> None:
    """From point to point, `half_width` thick in the middle: the pixels whose middles lie in it."""
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    length = math.dist(start, end)
    if length < 1:  # a limb seen from its end is under its dots
        return
    along, aside = ((end[0] - start[0]) / length, (end[1] - start[1]) / length), length / 2
    window, xs, ys = _window(canvas, (x, y), max(aside, half_width))
    u, v = (xs - x) * along[0] + (ys - y) * along[1], (ys - y) * along[0] - (xs - x) * along[1]
    window[(u / aside) ** 2 + (v / half_width) ** 2 <= 1] = color


def _fill_dot(canvas: np.ndarray, middle: tuple[float, float], radius: float, color: Sequence[int]) -> None:
    window, xs, ys = _window(canvas, middle, radius)
    window[(xs - middle[0]) ** 2 + (ys - middle[1]) ** 2 <= radius**2] = color


def _window(canvas: np.ndarray, middle: tuple[float, float], reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of the canvas within reach, a view, with the middles of its columns [1, w] and rows [h, 1] in pixels."""
    x0, x1 = (min(max(math.floor(middle[0] + way), 0), canvas.shape[1]) for way in (-reach, reach + 1))
    y0, y1 = (min(max(math.floor(middle[1] + way), 0), canvas.shape[0]) for way in (-reach, reach + 1))
    return canvas[y0:y1, x0:x1], np.arange(x0, x1)[None] + 0.5, np.arange(y0, y1)[:, None] + 0.5
