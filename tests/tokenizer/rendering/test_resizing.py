"""Nearest pixels and averages of what is known, at the crop's place."""

import random

import numpy as np
import pytest
from PIL import Image

from pipeline.images import Crop, plan_crop
from tokenizer.rendering.resizing import average_known, part_of, take_nearest


def whole(array: np.ndarray) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(array.shape[-1]), float(array.shape[-2])


def apart_from_ties(size: int, scaled: int, offset: int, count: int) -> np.ndarray:
    """[count] bool: where one pixel is the nearest. Between two equally near ones Pillow goes by its rounding errors."""
    return (2 * np.arange(offset, offset + count) + 1) * size % (2 * scaled) != 0


def test_the_nearest_pixels_are_pillows():
    rng, compared = random.Random(5), 0
    for _ in range(40):
        pixels = np.random.default_rng(rng.randrange(99)).integers(0, 256, (rng.randrange(20, 300), rng.randrange(20, 300)), np.uint8)
        crop = plan_crop((pixels.shape[1], pixels.shape[0]), (64, 96), (rng.random(), rng.random()))
        scaled = Image.fromarray(pixels).resize((crop.scaled_width, crop.scaled_height), Image.Resampling.NEAREST)
        wanted = np.asarray(scaled)[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
        columns = apart_from_ties(pixels.shape[1], crop.scaled_width, crop.x, crop.width)
        rows = apart_from_ties(pixels.shape[0], crop.scaled_height, crop.y, crop.height)
        drawn = take_nearest(pixels, crop, whole(pixels))
        np.testing.assert_array_equal(drawn[rows][:, columns], wanted[rows][:, columns])
        compared += rows.sum() * columns.sum()
    assert compared > 0.8 * 40 * 64 * 96


def test_the_nearest_pixels_of_a_part_are_those_of_the_part_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    crop = plan_crop((30, 20), (33, 27), (1, 0))
    part = np.ascontiguousarray(pixels[10:30, 20:50])
    np.testing.assert_array_equal(take_nearest(pixels, crop, (20, 10, 50, 30)), take_nearest(part, crop, (0, 0, 30, 20)))


@pytest.mark.parametrize(
    ("box", "planned", "own", "wanted"),
    [
        (None, (49, 33), (7, 5), (0, 0, 7, 5)),
        (None, (641, 479), (641, 479), (0, 0, 641, 479)),
        ((0.1, 0.2, 0.5, 0.6), (100, 50), (100, 50), (10, 10, 50, 30)),
        ((0.11, 0.2, 0.5, 0.6), (100, 50), (50, 25), (5.5, 5, 25, 15)),
        ((0.1, 0.2, 0.5, 0.6), (100, 50), (150, 75), (15, 15, 75, 45)),
    ],
)
def test_a_part_is_the_main_pictures_in_the_maps_own_pixels(box, planned, own, wanted):
    assert part_of(box, planned, own) == wanted


def test_averages_of_a_map_that_needs_no_resize_are_its_values():
    planes = np.random.default_rng(0).random((2, 40, 60), np.float32)
    known = np.random.default_rng(1).random((40, 60)) > 0.4
    crop = Crop(30, 40, scaled_width=60, scaled_height=40, x=7, y=0)
    drawn, drawn_known = average_known(planes, known, crop, whole(planes))
    np.testing.assert_array_equal(drawn_known, known[:, 7:37])
    np.testing.assert_array_equal(drawn, np.where(known, planes, 0)[:, :, 7:37])


def test_a_part_that_needs_no_resize_is_cut_out():
    planes = np.random.default_rng(0).random((1, 40, 60), np.float32)
    crop = Crop(20, 10, scaled_width=20, scaled_height=12, x=0, y=1)
    drawn, known = average_known(planes, np.ones((40, 60), bool), crop, (5, 3, 25, 15))
    np.testing.assert_array_equal(drawn, planes[:, 4:14, 5:25])
    assert known.all()


def test_a_part_between_pixels_is_interpolated():
    planes = np.random.default_rng(0).random((1, 40, 60), np.float32)
    drawn, _ = average_known(planes, np.ones((40, 60), bool), Crop(20, 12, 20, 12, 0, 0), (5.5, 3, 25.5, 15))
    np.testing.assert_allclose(drawn[0], (planes[0, 3:15, 5:25] + planes[0, 3:15, 6:26]) / 2, rtol=1e-6)


def test_halves_are_means_of_four_and_more_halves_of_more():
    planes = np.random.default_rng(0).random((1, 32, 64), np.float32)
    for side in (2, 4):
        crop = plan_crop((64, 32), (64 // side, 32 // side))
        drawn, _ = average_known(planes, np.ones((32, 64), bool), crop, whole(planes))
        means = planes[0].reshape(32 // side, side, 64 // side, side).mean((1, 3))
        np.testing.assert_allclose(drawn[0], means, rtol=1e-6)


def test_nothing_unknown_bleeds_into_what_is_known_and_nothing_overshoots():
    rng = np.random.default_rng(2)
    for size, bucket in (((97, 61), (64, 64)), ((40, 30), (96, 64)), ((500, 300), (64, 64))):
        planes = rng.uniform(10, 20, (1, size[1], size[0])).astype(np.float32)
        known = rng.random((size[1], size[0])) > 0.3
        planes[0][~known] = [1e9, np.nan, -np.inf][rng.integers(3)]
        drawn, drawn_known = average_known(planes, known, plan_crop(size, bucket), whole(planes))
        assert drawn[0][drawn_known].min() >= 9.999 and drawn[0][drawn_known].max() <= 20.001
        assert (drawn[0][~drawn_known] == 0).all()


@pytest.mark.parametrize(("num_known", "wanted"), [(1, False), (2, True), (3, True)])
def test_a_pixel_is_known_from_half_of_its_weight_on(num_known, wanted):
    planes = np.full((1, 2, 2), 7, np.float32)
    known = np.array([True] * num_known + [False] * (4 - num_known)).reshape(2, 2)
    drawn, drawn_known = average_known(planes, known, Crop(1, 1, 1, 1, 0, 0), (0, 0, 2, 2))
    assert drawn_known.tolist() == [[wanted]]
    assert drawn.tolist() == [[[7.0 if wanted else 0.0]]]
