"""Pictures are kept in memory within bounds, and crops of them depend on the dice alone."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import RecipeError
from pipeline.samples import BadSample, Sample
from tokenizer.vq.fitting.pictures import CropOptions, Pool, central_squares, draw_crop, load_pool


def picture(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(buffer, "PNG")
    return Sample(f"{width}x{height}", images={"image": buffer.getvalue()})


class Few:
    """A source of a few given records."""

    def __init__(self, *records):
        self.records = records

    def plan(self, unit_size):
        return [0]

    def read(self, unit):
        yield from self.records


def test_pictures_are_reduced_and_useless_ones_counted():
    source = Few(
        picture(100, 60), picture(30, 40), picture(10, 300), Sample("a", images={"image": b"no"}), Sample("b"), BadSample("c", "x")
    )
    pool = load_pool(source, weight=1.0, max_side=32, min_side=16, max_bytes=10**6)
    assert [p.size for p in pool.pictures] == [(53, 32), (30, 40)]
    assert (pool.num_bad, pool.complete) == (4, True)


def test_reading_ends_where_the_memory_does():
    pool = load_pool(Few(*[picture(20, 20)] * 5), weight=1.0, max_side=32, min_side=16, max_bytes=2400)
    assert (len(pool.pictures), pool.complete) == (2, False)


def test_a_source_without_a_usable_picture_is_refused():
    with pytest.raises(RecipeError, match="no picture in the source could be used"):
        load_pool(Few(Sample("b")), weight=1.0, max_side=32, min_side=16, max_bytes=10**6)


RED = Pool([Image.new("RGB", (40, 30), (255, 0, 0))], 3.0, 0, True)
BLUE = Pool([Image.new("RGB", (10, 90), (0, 0, 255))], 1.0, 0, True)


def crops(pools, count, options, size=(16, 16)):
    return np.stack([draw_crop(pools, size, options, np.random.default_rng((0, i))) for i in range(count)])


def test_crops_depend_on_the_dice_alone_and_follow_the_weights():
    found = crops([RED, BLUE], 400, CropOptions())
    assert np.array_equal(found, crops([RED, BLUE], 400, CropOptions()))
    assert 0.68 < (found[:, 0, 0, 0] == 255).mean() < 0.82


def test_swapped_colors_change_the_share_that_is_asked_for():
    swapped = crops([RED], 400, CropOptions(swapped_colors=0.5))
    assert 0.55 < (swapped[:, 0, 0, 0] == 255).mean() < 0.78  # a third of the swaps leave red where it was


def test_jitter_moves_brightness_within_its_bounds():
    grey = Pool([Image.new("RGB", (32, 32), (128, 128, 128))], 1.0, 0, True)
    levels = crops([grey], 200, CropOptions(jitter=0.2))[:, 0, 0, 0].astype(int)
    assert levels.std() > 5
    assert abs(levels - 128).max() <= 0.1 * 255 + 1


def test_crops_of_any_aspect_ratio_keep_proportions_and_stay_inside():
    y, x = np.mgrid[0:90, 0:120]
    ramp = Pool([Image.fromarray(np.stack([2 * x, 2 * y, 0 * x], -1).astype(np.uint8))], 1.0, 0, True)
    for crop in crops([ramp], 50, CropOptions(), size=(48, 16)).astype(float):
        assert crop.shape == (16, 48, 3)
        across, down = abs(crop[8, 40, 0] - crop[8, 8, 0]) / 32, abs(crop[12, 24, 1] - crop[4, 24, 1]) / 8
        assert across == pytest.approx(down, rel=0.35, abs=0.6)  # levels a pixel: the same in both directions


def test_held_out_squares_have_one_size():
    assert central_squares([RED, BLUE], 16).shape == (2, 16, 16, 3)
