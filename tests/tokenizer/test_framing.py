"""One crop for all that lines up: boxes and points move with it, sizes of their own do not matter, proportions do."""

import random

import pytest

from pipeline.dice import dice
from pipeline.images import Crop, plan_crop
from pipeline.samples import ImageHeader, ImageRef, Pose, Sample
from tokenizer.framing import Framing, cut_place, frame_ref, frame_sample, lines_up, part_pixels
from tokenizer.options import TokenOptions

OPTIONS = TokenOptions(target_size=256)


def sample(poses: tuple[Pose, ...] = (), key: str = "a", **sizes: tuple[int, int]) -> Sample:
    """With pictures of these sizes, by role; no pixels."""
    headers = {role: ImageHeader("PNG", *size, num_bytes=0) for role, size in sizes.items()}
    return Sample(key, images=dict.fromkeys(sizes, b""), headers=headers, poses=poses)


def test_points_move_with_the_crop():
    framing = Framing(Crop(256, 256, scaled_width=512, scaled_height=256, x=128, y=0), 1024, 512)
    assert framing.size == (256, 256)
    assert framing.point(0.5, 0.5) == (0.5, 0.5)
    assert framing.point(0.25, 0.0) == (0.0, 0.0)
    assert framing.point(0.75, 1.0) == (1.0, 1.0)
    assert framing.point(0.0, 0.5) == (-0.5, 0.5)  # cut away


def test_a_point_lands_on_the_pixel_that_shows_it():
    rng = random.Random(1)
    for _ in range(50):
        size = (rng.randrange(100, 900), rng.randrange(100, 900))
        crop = plan_crop(size, (256, 224), (rng.random(), rng.random()))
        x0, y0, x1, y1 = crop.box(*size)
        framing = Framing(crop, *size)
        assert framing.point(x0 / size[0], y0 / size[1]) == pytest.approx((0, 0), abs=1 / min(size))
        assert framing.point(x1 / size[0], y1 / size[1]) == pytest.approx((1, 1), abs=1 / min(size) * 2)


@pytest.mark.parametrize(
    ("box", "moved", "share"),
    [
        ((0.25, 0.0, 0.75, 1.0), (0.0, 0.0, 1.0, 1.0), 1.0),
        ((0.375, 0.25, 0.5, 0.5), (0.25, 0.25, 0.5, 0.5), 1.0),
        ((0.125, 0.0, 0.375, 0.5), (0.0, 0.0, 0.25, 0.5), 0.5),
        ((0.0, 0.0, 0.25, 1.0), (0.0, 0.0, 0.0, 1.0), 0.0),
        ((0.75, 0.5, 1.0, 1.0), (1.0, 0.5, 1.0, 1.0), 0.0),
        ((0.5, 0.5, 0.5, 0.9), (0.5, 0.5, 0.5, 0.9), 0.0),  # no area
    ],
)
def test_a_box_is_cut_at_the_borders_and_says_how_much_is_left(box, moved, share):
    framing = Framing(Crop(256, 256, scaled_width=512, scaled_height=256, x=128, y=0), 1024, 512)
    assert framing.box(box) == (pytest.approx(moved), pytest.approx(share))


def test_a_picture_that_is_not_cut_moves_no_box():
    framing = Framing(plan_crop((256, 256), (256, 256)), 256, 256)
    assert framing.box((0.1, 0.2, 0.3, 0.4)) == (pytest.approx((0.1, 0.2, 0.3, 0.4)), pytest.approx(1.0))


@pytest.mark.parametrize("size", [(601, 401), (300, 200), (301, 201), (902, 602), (150, 100)])
def test_what_lines_up_takes_the_very_crop_of_the_main_picture(size):
    framings = frame_sample(sample(image=(601, 401), depth=size, edited_1=size, mask_1=size), OPTIONS, seed=0)
    assert len({framings[role] for role in ("image", "depth", "edited_1", "mask_1")}) == 1  # the sizes it was planned for as well
    assert framings["depth"].is_aligned


def test_what_does_not_line_up_has_a_bucket_of_its_own():
    framings = frame_sample(sample(image=(600, 400), view_1=(400, 600), subject_1=(50, 50)), OPTIONS, seed=0)
    assert framings["view_1"].size == framings["image"].size[::-1]
    assert framings["subject_1"].size == (256, 256)
    assert (framings["view_1"].original_width, framings["view_1"].original_height) == (400, 600)
    assert framings["view_1"].is_aligned  # its role does not say that it lines up, so nothing denies it


def test_other_proportions_deny_a_role_that_says_it_lines_up_and_do_not_distort_it():
    framings = frame_sample(sample(image=(600, 400), depth=(400, 600), edited_1=(600, 402)), OPTIONS, seed=0)
    assert [framings[role].is_aligned for role in ("image", "depth", "edited_1")] == [True, False, False]
    assert framings["depth"].crop == plan_crop((400, 600), framings["depth"].size)
    assert framings["depth"].size == framings["image"].size[::-1]


def test_the_main_picture_is_the_first_where_none_is_called_image():
    pictures = sample(image_1=(600, 400), image_2=(400, 600), depth=(300, 200))
    framings = frame_sample(pictures, OPTIONS, seed=0)
    assert framings["depth"] == framings["image_1"] != framings["image_2"]
    assert [lines_up(pictures, role) for role in ("image_1", "image_2", "depth")] == [True, False, True]


def test_a_pose_that_will_be_drawn_has_the_main_pictures_framing():
    pose = Pose(((0.5, 0.5, 1.0),) * 17)
    framings = frame_sample(sample((pose,), image=(600, 400)), OPTIONS, seed=0)
    assert framings["pose"] == framings["image"]
    assert "pose" not in frame_sample(sample(image=(600, 400)), OPTIONS, seed=0)
    stored = frame_sample(sample((pose,), image=(600, 400), pose=(400, 600)), OPTIONS, seed=0)
    assert not stored["pose"].is_aligned  # a stored one is what counts


def test_a_text_has_no_framing():
    assert frame_sample(Sample("a"), OPTIONS, seed=0) == {}
    assert not lines_up(Sample("a"), "depth")


def test_a_random_crop_is_shared_by_all_and_depends_on_seed_and_key():
    options = TokenOptions(target_size=256, crop="random")
    framings = frame_sample(sample(image=(900, 400), depth=(450, 200), image_1=(900, 400)), options, seed=3)
    assert framings["image"].crop == framings["depth"].crop == framings["image_1"].crop
    places = {frame_sample(sample(key=key, image=(900, 400)), options, seed=seed)["image"].crop.x for key in "abc" for seed in range(3)}
    assert len(places) > 4
    assert cut_place("a", options, 3) == cut_place("a", options, 3)
    assert cut_place("a", OPTIONS, 3) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        (None, (0, 0, 100, 50)),
        ((0.0, 0.0, 1.0, 1.0), (0, 0, 100, 50)),
        ((0.1, 0.2, 0.3, 0.4), (10, 10, 30, 20)),
        ((0.109, 0.0, 0.304, 1.0), (10, 0, 30, 50)),
        ((0.5, 0.5, 0.5, 0.5), (50, 25, 51, 26)),  # a pixel at least
        ((1.0, 1.0, 1.0, 1.0), (99, 49, 100, 50)),
        ((-0.5, -0.1, 1.5, 2.0), (0, 0, 100, 50)),
    ],
)
def test_a_part_is_of_whole_pixels_inside_the_picture(box, wanted):
    assert part_pixels(box, 100, 50) == wanted


def test_a_whole_picture_of_the_usual_size_has_its_framings_crop():
    framings = frame_sample(sample(image=(600, 400)), OPTIONS, seed=0)
    assert frame_ref(ImageRef(), framings, OPTIONS) is framings["image"].crop


def test_a_target_size_of_its_own_gives_a_bucket_of_that_size_and_maps_follow():
    framings = frame_sample(sample(image=(999, 667), depth=(1500, 1001)), OPTIONS, seed=0)
    crops = [frame_ref(ImageRef(role, target_size=128), framings, OPTIONS) for role in ("image", "depth")]
    assert crops[0] == crops[1]
    assert crops[0].width * crops[0].height <= 128 * 128


def test_a_part_has_the_bucket_of_its_own_shape_and_goes_down_to_smaller_targets():
    options = TokenOptions(target_size=256, smaller_targets=(64, 128))
    framings = frame_sample(sample(image=(1000, 1000)), options, seed=0)

    def size(*box: float, target: int = 0) -> tuple[int, int]:
        crop = frame_ref(ImageRef(box=box, target_size=target), framings, options)
        return crop.width, crop.height

    assert size(0, 0, 0.3, 0.3) == (256, 256)
    assert size(0, 0, 0.2, 0.2) == (128, 128)
    assert size(0, 0, 0.05, 0.05) == (64, 64)  # none fits: the smallest
    assert size(0, 0, 0.5, 0.5, target=128) == (128, 128)
    assert size(0, 0, 0.1, 0.1, target=64) == (64, 64)  # 128 is no smaller target than 64
    assert size(0, 0, 0.8, 0.4) == (320, 160)


def test_the_cut_of_a_part_lies_where_it_is_told():
    framings = frame_sample(sample(image=(1000, 1000)), OPTIONS, seed=0)
    ref = ImageRef(box=(0.0, 0.0, 0.9, 0.5))
    left, right = (frame_ref(ref, framings, OPTIONS, (place, place)) for place in (0.0, 1.0))
    assert (left.x, left.y) == (0, 0)
    assert (right.x, right.y) == (right.scaled_width - right.width, right.scaled_height - right.height) != (0, 0)
    assert dice(3, "a", "crop").random() == cut_place("a", TokenOptions(crop="random"), 3)[0]
