"""Drawn persons: the figure keeps to its circle, and its points and boxes are where it is drawn."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from pipeline.dice import dice
from pipeline.sources.scene import Scene, Thing
from pipeline.sources.scene_drawing import CLASSES, draw_segmentation
from pipeline.sources.scene_people import PERSON, POINTS, Posture, draw_posture, make_figure
from pipeline.sources.shapes import Shapes

PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO = ["nose", *(f"{side}_{part}" for part in PARTS for side in ("left", "right"))]
POSTURES = [draw_posture(dice(0, str(number), "test").random) for number in range(200)]
SPREAD = Posture(lean=0, nod=0, upper_arms=(90, 90), forearms=(90, 90), thighs=(10, 10), shins=(10, 10))
SAMPLES = [
    Shapes(1, seed=5, sizes=("128x128", "192x128", "128x224"), roles=("image", "segmentation"), people_share=1.0).draw(str(number))
    for number in range(60)
]


def person_pixels(sample):
    return np.asarray(Image.open(io.BytesIO(sample.images["segmentation"]))) == 1 + CLASSES.index(PERSON)


def test_the_points_are_cocos_in_cocos_order():
    published = "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist"
    assert " ".join(POINTS) == f"{published} left_hip right_hip left_knee right_knee left_ankle right_ankle"
    assert list(POINTS) == COCO
    assert all(len(pose.points) == 17 and pose.layout == "coco17" for sample in SAMPLES for pose in sample.poses)


def test_a_figure_fills_its_circle_and_its_box_lies_around_the_middle():
    for posture in POSTURES:
        figure = make_figure(posture)
        reach = [math.hypot(x, y) + figure.thickness for bone in figure.bones for x, y in bone]
        assert max(*reach, math.hypot(*figure.head[:2]) + figure.head[2]) == pytest.approx(1)
        x0, y0, x1, y1 = figure.extent
        assert (x0 + x1, y0 + y1) == pytest.approx((0, 0), abs=1e-9)


def test_every_point_of_a_pose_lies_on_the_drawn_person():
    for sample in SAMPLES:
        [pose] = sample.poses
        drawn = person_pixels(sample)
        height, width = drawn.shape
        assert all(drawn[int(y * height), int(x * width)] for x, y, _ in pose.points)
        assert {confidence for *_, confidence in pose.points} == {1.0}


def test_limbs_are_drawn_from_joint_to_joint():
    limbs = [
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("shoulder", "hip"),
        ("hip", "knee"),
        ("knee", "ankle"),
    ]
    for sample in SAMPLES:
        drawn = person_pixels(sample)
        height, width = drawn.shape
        at = {name: np.array(point[:2]) for name, point in zip(COCO, sample.poses[0].points, strict=True)}
        for side in ("left", "right"):
            for first, second in limbs:
                for share in np.linspace(0, 1, 9):
                    x, y = at[f"{side}_{first}"] * (1 - share) + at[f"{side}_{second}"] * share
                    assert drawn[int(y * height), int(x * width)]


def test_a_person_faces_us_and_stands_upright():
    for posture in POSTURES:
        at = dict(zip(COCO, make_figure(posture).points, strict=True))
        for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee"):
            assert at[f"left_{part}"][0] > at[f"right_{part}"][0], "the left hand is on the right of the picture"
        for side in ("left", "right"):
            heights = [at[f"{side}_{part}"][1] for part in ("eye", "shoulder", "hip", "knee", "ankle")]
            assert heights == sorted(heights)
            assert at[f"{side}_eye"][1] < at["nose"][1]


def test_postures_differ():
    points = np.array([make_figure(posture).points for posture in POSTURES])
    reach = {name: points[:, COCO.index(name)].std(axis=0).max() for name in ("left_wrist", "right_wrist", "left_ankle", "right_ankle")}
    assert min(reach.values()) > 0.1, reach
    assert len(set(POSTURES)) == len(POSTURES)


def test_a_spread_figure_has_the_lengths_of_its_limbs():
    figure = make_figure(SPREAD)
    at = dict(zip(COCO, figure.points, strict=True))
    x0, y0, x1, y1 = figure.extent
    assert at["left_wrist"][1] == pytest.approx(at["left_shoulder"][1]) == pytest.approx(at["right_wrist"][1])
    assert (x0, x1) == pytest.approx((at["right_wrist"][0] - figure.thickness, at["left_wrist"][0] + figure.thickness))
    assert y1 == pytest.approx(at["left_ankle"][1] + figure.thickness)
    assert y0 == pytest.approx(at["nose"][1] - figure.head[2])
    thigh, shin = (math.dist(at[f"left_{a}"], at[f"left_{b}"]) for a, b in (("hip", "knee"), ("knee", "ankle")))
    assert thigh == pytest.approx(shin)
    assert math.degrees(math.atan2(at["left_knee"][0] - at["left_hip"][0], at["left_knee"][1] - at["left_hip"][1])) == pytest.approx(10)


def test_the_box_of_a_head_is_tight():
    thing = Thing("red", PERSON, "", 0.5, 0.5, 0.4, SPREAD)
    drawn = np.asarray(Image.open(io.BytesIO(draw_segmentation(Scene((thing,), "blue"), 300, 200)))) > 0
    figure = make_figure(SPREAD)
    x0, y0, x1, y1 = (c * side for c, side in zip(thing.box(300, 200, figure.head_extent), (300, 200, 300, 200), strict=True))
    above_the_neck = drawn[: int((y0 + y1) / 2) + 1]
    rows, columns = np.flatnonzero(above_the_neck.any(axis=1)), np.flatnonzero(above_the_neck.any(axis=0))
    assert (columns[0], rows[0], columns[-1] + 1) == pytest.approx((x0, y0, x1), abs=1)
    assert y1 - y0 == pytest.approx(x1 - x0)


def test_a_head_is_detected_in_every_person_without_words_of_the_caption():
    for sample in SAMPLES:
        [head] = [found for found in sample.detections if found.span is None]
        [person] = [found for found in sample.detections if found.phrase.endswith(PERSON)]
        assert (head.phrase, head.confidence) == ("head", 1.0)
        (x0, y0, x1, y1), (left, top, right, bottom) = head.box, person.box
        assert left <= x0 < x1 <= right and top <= y0 < y1 <= bottom + 1e-9
        assert (x1 - x0) * (y1 - y0) < (right - left) * (bottom - top) / 2
        face = sample.poses[0].points[:5]
        assert all(x0 < x < x1 and y0 < y < y1 for x, y, _ in face)
