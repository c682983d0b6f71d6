"""Skeletons: fixed colours at the right places, nothing of what is not seen, hard edges."""

import numpy as np
import pytest

from pipeline.images import Crop, PictureError, plan_crop
from pipeline.samples import Pose
from tokenizer.rendering.pose_drawing import LIMBS, NECK, OPENPOSE_ORDER, RAINBOW, draw_poses

CROP = plan_crop((256, 256), (256, 256))
NOSE, L_EYE, R_EYE, L_EAR, R_EAR, L_SHOULDER, R_SHOULDER, L_ELBOW, R_ELBOW, L_WRIST, R_WRIST = range(11)
L_HIP, R_HIP, L_KNEE, R_KNEE, L_ANKLE, R_ANKLE = range(11, 17)
# a person who faces us: the right side is at the left of the picture
BODY = {NOSE: (128, 40), L_EYE: (136, 32), R_EYE: (120, 32), L_EAR: (146, 36), R_EAR: (110, 36)}
BODY |= {L_SHOULDER: (160, 70), R_SHOULDER: (96, 70), L_ELBOW: (180, 110), R_ELBOW: (76, 110), L_WRIST: (190, 150), R_WRIST: (66, 150)}
BODY |= {L_HIP: (148, 150), R_HIP: (108, 150), L_KNEE: (150, 195), R_KNEE: (106, 195), L_ANKLE: (152, 240), R_ANKLE: (104, 240)}


def pose(points: dict[int, tuple[float, float]], confidence: float = 1.0, side: int = 256) -> Pose:
    """The points that are given, in pixels of a square picture; the others are not seen."""
    return Pose(tuple((points[i][0] / side, points[i][1] / side, confidence) if i in points else (0.0, 0.0, 0.0) for i in range(17)))


def color_at(pixels: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    return tuple(pixels[int(y), int(x)].tolist())


def shade(color: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(value * 3 // 5 for value in color)


def test_every_point_and_every_limb_of_a_body_has_its_colour():
    drawn = draw_poses([pose(BODY)], CROP)
    joints = BODY | {NECK: (128, 70)}
    for point, color in zip(OPENPOSE_ORDER, RAINBOW, strict=True):
        assert color_at(drawn, *joints[point]) == color
    for (first, second), color in zip(LIMBS, RAINBOW, strict=False):
        middle = [(a + b) / 2 for a, b in zip(joints[first], joints[second], strict=True)]
        assert color_at(drawn, *middle) == shade(color)


def test_the_published_colours_stand_at_the_published_joints():
    drawn = draw_poses([pose(BODY)], CROP)
    assert color_at(drawn, *BODY[NOSE]) == (255, 0, 0)
    assert color_at(drawn, 128, 70) == (255, 85, 0)  # the neck
    assert color_at(drawn, *BODY[R_SHOULDER]) == (255, 170, 0)
    assert color_at(drawn, *BODY[L_SHOULDER]) == (85, 255, 0)
    assert color_at(drawn, *BODY[R_ANKLE]) == (0, 170, 255)
    assert color_at(drawn, *BODY[L_ANKLE]) == (85, 0, 255)
    assert color_at(drawn, *BODY[L_EAR]) == (255, 0, 85)
    assert color_at(drawn, 112, 70) == (153, 0, 0)  # neck to right shoulder


def test_limbs_are_a_bodys():
    assert sorted(OPENPOSE_ORDER) == list(range(18)) and len(set(RAINBOW)) == 18
    arms = {(L_SHOULDER, L_ELBOW), (L_ELBOW, L_WRIST), (R_SHOULDER, R_ELBOW), (R_ELBOW, R_WRIST)}
    legs = {(L_HIP, L_KNEE), (L_KNEE, L_ANKLE), (R_HIP, R_KNEE), (R_KNEE, R_ANKLE)}
    head = {(NECK, NOSE), (NOSE, L_EYE), (L_EYE, L_EAR), (NOSE, R_EYE), (R_EYE, R_EAR)}
    assert set(LIMBS) == arms | legs | head | {(NECK, point) for point in (L_SHOULDER, R_SHOULDER, L_HIP, R_HIP)}
    assert len(LIMBS) == 17


def test_edges_are_hard():
    allowed = set(RAINBOW) | {shade(color) for color in RAINBOW} | {(0, 0, 0)}
    rng = np.random.default_rng(0)
    for _ in range(5):
        points = {index: tuple(rng.uniform(0, 256, 2).tolist()) for index in range(17)}
        drawn = draw_poses([pose(points), pose(BODY)], CROP)
        assert {tuple(color) for color in drawn.reshape(-1, 3).tolist()} <= allowed


@pytest.mark.parametrize(("confidence", "seen"), [(0.0, False), (0.299, False), (0.3, True), (1.0, True)])
def test_a_point_of_little_confidence_is_not_drawn(confidence, seen):
    assert draw_poses([pose({NOSE: (128, 40)}, confidence)], CROP).any() == seen


def test_a_limb_is_drawn_only_between_two_points_that_are_seen():
    arm = {R_SHOULDER: (96, 70), R_ELBOW: (76, 110), R_WRIST: (66, 150)}
    middle = (71, 130)
    assert draw_poses([pose(arm)], CROP)[middle[1], middle[0]].any()
    without = draw_poses([pose({index: arm[index] for index in (R_SHOULDER, R_WRIST)})], CROP)
    assert not without[80:140].any() and without[70, 96].any() and without[150, 66].any()
    assert not draw_poses([pose({R_SHOULDER: (96, 70), R_HIP: (108, 150)})], CROP)[80:140].any()  # no neck without both shoulders


@pytest.mark.parametrize("side", [128, 512, 1024])
def test_sizes_grow_with_the_crop(side):
    crop = plan_crop((side, side), (side, side))
    dot = draw_poses([pose({NOSE: (0.5, 0.5)}, side=1)], crop).any(axis=2)
    radius = max(1, side / 128)
    assert (dot.any(axis=0).sum(), dot.any(axis=1).sum()) == (2 * radius, 2 * radius)
    limb = draw_poses([pose({L_KNEE: (0.2, 0.5), L_HIP: (0.8, 0.5)}, side=1)], crop)[:, side // 2]
    assert limb.any(axis=1).sum() == 2 * radius
    assert draw_poses([pose({NOSE: (0.5, 0.5)}, side=1)], Crop(side, 64, side, 64, 0, 0)).any(axis=2).sum() <= 4  # the shorter side counts


def test_dots_and_limbs_are_whole_wherever_they_lie_between_pixels():
    rng = np.random.default_rng(3)
    x, y = np.arange(256)[None] + 0.5, np.arange(256)[:, None] + 0.5
    for _ in range(20):
        a, b = (tuple(rng.uniform(50, 200, 2).tolist()) for _ in range(2))
        dots = ((x - a[0]) ** 2 + (y - a[1]) ** 2 <= 4) | ((x - b[0]) ** 2 + (y - b[1]) ** 2 <= 4)
        to_ends = np.hypot(x - a[0], y - a[1]) + np.hypot(x - b[0], y - b[1])  # of a limb's middle, 2 pixels aside: the most
        drawn = draw_poses([pose({L_HIP: a, L_KNEE: b})], CROP).any(axis=2)
        np.testing.assert_array_equal(drawn & dots, dots)
        assert (to_ends[drawn & ~dots] <= np.hypot(np.hypot(a[0] - b[0], a[1] - b[1]), 4) + 1e-6).all()


def test_points_move_with_the_crop_and_limbs_are_cut_at_its_border():
    crop = Crop(128, 128, scaled_width=512, scaled_height=256, x=100, y=64)
    drawn = draw_poses([Pose(((0.25, 0.5, 1.0),) + ((0.0, 0.0, 0.0),) * 16)], crop)
    np.testing.assert_allclose(np.argwhere(drawn.any(axis=2)).mean(axis=0) + 0.5, (64, 28), atol=0.51)
    leg = draw_poses([pose({L_HIP: (128, 100), L_ANKLE: (128, 300), L_KNEE: (128, 200)})], Crop(256, 150, 256, 256, 0, 0))
    assert leg[149, 128].any() and not leg[:90].any()
    assert not draw_poses([pose(BODY)], Crop(64, 64, 1024, 1024, 0, 0)).any()  # nobody is there


def test_a_part_of_the_picture_is_its_own_whole():
    drawn = draw_poses([pose({NOSE: (64, 128)})], Crop(128, 128, 128, 128, 0, 0), (0.0, 0.25, 0.5, 0.75))
    np.testing.assert_allclose(np.argwhere(drawn.any(axis=2)).mean(axis=0) + 0.5, (64, 64), atol=0.51)


@pytest.mark.parametrize("place", [float("nan"), float("inf"), 1e300, -1.01, 2.01])
def test_points_that_are_nowhere_are_not_drawn(place):
    points = list(pose(BODY).points)
    points[R_WRIST] = (place, 0.5, 1.0)
    body = dict(BODY)
    del body[R_WRIST]
    np.testing.assert_array_equal(draw_poses([Pose(tuple(points))], CROP), draw_poses([pose(body)], CROP))


def test_two_points_on_one_place_are_a_dot():
    drawn = draw_poses([pose({R_WRIST: (100, 100), R_ELBOW: (100, 100)})], CROP)
    assert 4 <= drawn.any(axis=2).sum() <= 16


def test_the_dots_of_all_persons_lie_over_the_limbs_of_all():
    arm, nose = pose({R_SHOULDER: (60, 100), R_ELBOW: (180, 100)}), pose({NOSE: (120, 100)})
    for persons in ([arm, nose], [nose, arm]):
        assert color_at(draw_poses(persons, CROP), 120, 100) == (255, 0, 0)


def test_another_layout_and_a_wrong_number_of_points_are_refused():
    for wrong, reason in ((Pose((), "halpe26"), "unknown_pose_layout"), (Pose(((0.5, 0.5, 1.0),) * 16), "bad_pose")):
        with pytest.raises(PictureError) as caught:
            draw_poses([pose(BODY), wrong], CROP)
        assert caught.value.reason == reason
