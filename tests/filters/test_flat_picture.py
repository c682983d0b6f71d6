"""Flat pictures are dropped, pictures that cannot be decoded fail."""

import numpy as np
import pytest
from PIL import Image

from filters.flat_picture import FlatPicture
from pipeline.errors import SampleError
from pipeline.samples import Sample
from tests.broken_pictures import BROKEN, ODD, encode, picture
from tests.filters.verdicts import judged


def two_grays(low, high, side=128):
    """Half of it `low`, half `high`: the standard deviation is half their distance."""
    array = np.full((side, side), low, np.uint8)
    array[:, side // 2 :] = high
    return encode(Image.fromarray(array), "PNG")


def judge(rule, **images):
    [verdict] = judged(rule, [Sample("x", images=images)])
    return verdict


@pytest.mark.parametrize(("high", "keep"), [(100, False), (117, False), (118, True), (255, True)])
def test_the_spread_of_brightness_decides(high, keep):
    verdict = judge(FlatPicture(), image=two_grays(100, high))
    assert (verdict.keep, verdict.reason) == (keep, "" if keep else "flat_picture")
    assert verdict.scores == {"luma_std": pytest.approx((high - 100) / 2, abs=0.01)}


def test_colours_of_one_brightness_are_flat():
    array = np.zeros((64, 64, 3), np.uint8)
    array[:, :32], array[:, 32:] = (255, 0, 0), (0, 130, 0)  # luma 76 both
    assert not judge(FlatPicture(), image=encode(Image.fromarray(array), "PNG")).keep


@pytest.mark.parametrize("name", [name for name in ODD if "bilevel" not in name])
def test_odd_pictures_are_judged(name):
    assert judge(FlatPicture(), image=ODD[name]()).keep


def test_a_transparent_picture_is_as_flat_as_the_white_behind_it():
    array = np.random.default_rng(0).integers(0, 255, (64, 64, 4), dtype=np.uint8)
    array[..., 3] = 0
    assert judge(FlatPicture(), image=encode(Image.fromarray(array), "PNG")).scores == {"luma_std": 0.0}


def test_maps_may_be_flat_and_the_flattest_plain_picture_decides():
    assert judge(FlatPicture(), image=picture(), depth=two_grays(0, 0), edited_1=two_grays(0, 0)).keep
    assert not judge(FlatPicture(), image_1=picture(), image_2=two_grays(0, 0)).keep
    assert not judge(FlatPicture(roles=("depth",)), image=picture(), depth=two_grays(0, 0)).keep
    assert judge(FlatPicture()).keep


def test_a_picture_that_cannot_be_decoded_fails_its_sample():
    data, reason = BROKEN["jpeg_cut_in_the_middle"]
    with pytest.raises(SampleError) as caught:
        judge(FlatPicture(), image=data())
    assert (caught.value.key, caught.value.reason) == ("x", reason)
