"""Normals keep unit length through any resize, and unknown ones stay unknown."""

import numpy as np
import pytest
from PIL import Image

from pipeline.images import PictureError, plan_crop
from tests.tokenizer.rendering.scenes import as_normals
from tokenizer.rendering.normal_maps import draw_normals


def draw(pixels: np.ndarray | Image.Image, bucket: tuple[int, int] | None = None) -> np.ndarray:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    return draw_normals(image, plan_crop(image.size, bucket or image.size), (0.0, 0.0, float(image.width), float(image.height)))


def sphere(side: int) -> np.ndarray:
    """[side, side, 3]: a half ball on a plane that faces the eye."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j] * 1.2
    inside = x**2 + y**2 < 1
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    return np.where(inside[..., None], np.dstack([x, y, z]), [0.0, 0.0, 1.0])


def lengths(pixels: np.ndarray) -> np.ndarray:
    return np.linalg.norm(pixels / 127.5 - 1, axis=2)


def test_a_map_that_is_not_resized_changes_by_what_rounding_left_of_its_lengths():
    vectors = np.random.default_rng(0).normal(size=(100, 100, 3))
    stored = as_normals(vectors / np.linalg.norm(vectors, axis=2, keepdims=True))
    assert abs(draw(stored).astype(int) - stored).max() == 1
    once = draw(stored)
    assert abs(draw(once).astype(int) - stored).max() <= 1  # and does not drift


@pytest.mark.parametrize("bucket", [(64, 64), (96, 128), (320, 288)])
def test_lengths_are_1_after_any_resize(bucket):
    drawn = draw(as_normals(sphere(201)), bucket)
    assert abs(lengths(drawn) - 1).max() < 0.012  # half a step of 1 / 127.5 in each channel
    noisy = np.random.default_rng(1).normal(size=(201, 201, 3))
    noisy = draw(as_normals(noisy / np.linalg.norm(noisy, axis=2, keepdims=True)), bucket)
    known = noisy.any(axis=2)
    assert abs(lengths(noisy)[known] - 1).max() < 0.012 and known.mean() > 0.5


def test_a_ball_keeps_its_directions():
    small = draw(as_normals(sphere(384)), (96, 96))
    means = sphere(384).reshape(96, 4, 96, 4, 3).mean((1, 3))
    means /= np.linalg.norm(means, axis=2, keepdims=True)
    assert abs(small.astype(int) - as_normals(means)).max() <= 1


def test_vectors_that_are_too_long_or_short_are_brought_to_length_1():
    assert draw(np.array([[(255, 255, 255), (128, 128, 160)]], np.uint8)).tolist() == [[[201, 201, 201], [129, 129, 255]]]


@pytest.mark.parametrize(
    ("color", "known"), [((0, 0, 0), False), ((0, 0, 1), True), ((128, 128, 128), False), ((134, 134, 134), False), ((127, 127, 141), True)]
)
def test_zero_and_short_vectors_are_unknown(color, known):
    drawn = draw(np.array([[color, (128, 128, 255)]], np.uint8))
    assert drawn[0, 0].any() == known
    assert drawn[0, 1].tolist() == [128, 128, 255]


def test_transparent_pixels_are_unknown():
    pixels = np.array([[(128, 128, 255, 127), (128, 128, 255, 128)]], np.uint8)
    assert draw(pixels).tolist() == [[[0, 0, 0], [128, 128, 255]]]


@pytest.mark.parametrize("bucket", [(64, 64), (192, 160)])
def test_unknown_regions_do_not_bleed(bucket):
    stored = np.zeros((150, 240, 3), np.uint8)
    stored[:, :110] = as_normals(np.array([0.6, 0.0, 0.8]))
    drawn = draw(stored, bucket)
    assert {tuple(color) for color in drawn.reshape(-1, 3).tolist()} == {(0, 0, 0), (204, 128, 230)}


def test_opposite_normals_that_meet_in_one_pixel_are_unknown():
    stored = np.full((4, 4, 3), 128, np.uint8)
    stored[:, ::2] = (255, 127, 127)
    stored[:, 1::2] = (0, 128, 128)
    stored[:2] = (128, 128, 255)
    drawn = draw(stored, (2, 2))
    assert drawn[0].tolist() == [[128, 128, 255]] * 2 and not drawn[1].any()


def test_a_map_without_normals_is_refused():
    with pytest.raises(PictureError) as caught:
        draw(np.zeros((4, 4, 3), np.uint8))
    assert caught.value.reason == "unknown_normals"


@pytest.mark.parametrize("mode", ["L", "I;16", "F", "CMYK", "LA", "1"])
def test_other_modes_are_refused(mode):
    with pytest.raises(PictureError) as caught:
        draw(Image.new(mode, (4, 4)))
    assert caught.value.reason == "bad_normal_map"
