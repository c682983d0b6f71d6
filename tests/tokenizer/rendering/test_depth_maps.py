"""Depth is bright where it is near, scaled over what remains; unknown is black and bleeds nowhere."""

import numpy as np
import pytest
from PIL import Image

from pipeline.images import Crop, PictureError, decode_map, plan_crop
from tests.tokenizer.rendering.scenes import png
from tokenizer.rendering.depth_maps import draw_depth


def whole(image: Image.Image) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(image.width), float(image.height)


def row(values: np.ndarray | Image.Image, stored: object = "nearness") -> list[int]:
    """The first row of a map that is not resized, through a file."""
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image = decode_map(png(image, "TIFF" if image.mode in ("I", "F") else "PNG"))
    drawn = draw_depth(image, stored, plan_crop(image.size, image.size), whole(image))
    assert drawn.dtype == np.uint8 and (drawn == drawn[..., :1]).all()
    return drawn[0, :, 0].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_nearness_is_stretched_from_its_smallest_to_its_largest(dtype):
    assert row(np.array([[10, 20, 30, 60]], dtype)) == [0, 51, 102, 255]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_distance_is_drawn_as_its_inverse_and_0_is_unknown(dtype):
    assert row(np.array([[10, 20, 40, 0]], dtype), "distance") == [255, 85, 0, 0]


def test_what_is_no_number_is_unknown_in_both_conventions():
    values = np.array([[np.nan, 10, np.inf, 20, -np.inf, 40]], np.float32)
    assert row(values, "nearness") == [0, 0, 0, 85, 0, 255]
    assert row(values, "distance") == [0, 255, 0, 85, 0, 0]
    assert row(np.array([[-5, 10, 20, 1e-45]], np.float32), "distance") == [0, 255, 0, 0]


def test_0_and_below_are_far_where_nearness_is_stored():
    assert row(np.array([[-1, 0, 1]], np.float32)) == [0, 128, 255]


def test_all_16_bits_count():
    assert row(np.array([[60_000, 60_001, 60_002]], np.uint16)) == [0, 128, 255]


@pytest.mark.parametrize("value", [0, 7, 65_535])
def test_a_plane_is_mid_gray(value):
    assert row(np.full((3, 5), value, np.uint16)) == [128] * 5
    assert row(np.array([[value + 1, 0, value + 1]], np.int32), "distance") == [128, 0, 128]


def test_a_plane_is_mid_gray_after_a_resize_too():
    values = np.full((333, 517), 0.1234567, np.float32)
    values[np.random.default_rng(0).random(values.shape) > 0.7] = np.nan
    image = Image.fromarray(values)
    drawn = draw_depth(image, "nearness", plan_crop(image.size, (64, 64)), whole(image))
    assert (drawn == 128).mean() > 0.99 and set(np.unique(drawn)) <= {0, 128}


def test_the_scale_is_that_of_what_remains_after_the_crop():
    image = Image.fromarray(np.array([[0, 10, 20, 30, 255]], np.uint8))
    crop = Crop(3, 1, scaled_width=5, scaled_height=1, x=1, y=0)
    assert draw_depth(image, "nearness", crop, whole(image))[0, :, 0].tolist() == [0, 128, 255]


def test_gray_in_three_channels_is_depth_and_a_colour_scale_is_not():
    gray = np.array([[10, 20, 30, 60]], np.uint8)
    assert row(Image.fromarray(gray).convert("RGB")) == row(gray)
    palette = Image.fromarray(gray).convert("P")  # a palette of grays
    assert row(palette) == row(gray)
    colors = np.repeat(gray[..., None], 3, axis=2)
    colors[0, 0, 1] += 4
    assert row(Image.fromarray(colors))[2:] == [pytest.approx(102, abs=4), 255]
    colors[0, 0, 1] += 1
    with pytest.raises(PictureError, match="5") as caught:
        row(Image.fromarray(colors))
    assert caught.value.reason == "coloured_depth"


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_are_unknown(mode):
    image = Image.fromarray(np.array([[10, 20, 30, 60]], np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(np.array([[127, 128, 255, 0]], np.uint8)))
    assert row(image) == [0, 0, 255, 0]


@pytest.mark.parametrize(
    ("values", "stored"), [(np.zeros((2, 2), np.uint16), "distance"), (np.full((2, 2), np.nan, np.float32), "nearness")]
)
def test_a_map_without_depth_is_refused(values, stored):
    with pytest.raises(PictureError) as caught:
        row(values, stored)
    assert caught.value.reason == "unknown_depth"


def test_other_modes_are_refused():
    image = Image.new("CMYK", (4, 4))
    with pytest.raises(PictureError) as caught:
        draw_depth(image, "nearness", plan_crop((4, 4), (4, 4)), whole(image))
    assert caught.value.reason == "bad_depth_map"


@pytest.mark.parametrize("bucket", [(64, 64), (192, 160)])
def test_a_hole_neither_bleeds_nor_grows(bucket):
    """Near on the left, far on the right, a hole between them: nothing but these three is drawn."""
    values = np.full((150, 240), 2.0, np.float32)
    values[:, 140:] = 5.0
    values[:, 100:140] = 0.0
    crop = plan_crop((240, 150), bucket)
    drawn = draw_depth(Image.fromarray(values), "distance", crop, (0, 0, 240, 150))[..., 0]
    hole = [(place * crop.scaled_width / 240 - crop.x) for place in (100, 140)]
    left, right = drawn[:, : int(hole[0] - 1)], drawn[:, int(hole[1] + 2) :]
    assert (left == 255).all() and (right == 0).all()
    edges = np.flatnonzero(np.diff(drawn[5].astype(int)))
    assert set(np.unique(drawn)) == {0, 255} and abs(edges[0] + 1 - hole[0]) <= 1


def test_a_slope_stays_a_slope():
    values = np.tile(np.linspace(100, 60_000, 512).astype(np.uint16), (256, 1))
    drawn = draw_depth(Image.fromarray(values), "nearness", plan_crop((512, 256), (96, 64)), (0, 0, 512, 256))[..., 0].astype(int)
    assert (drawn == drawn[:1]).all() and (np.diff(drawn[0]) >= 2).all() and (np.diff(drawn[0]) <= 4).all()
