"""Blurred pictures are dropped; a sharp thing before a soft ground, and low contrast, are not blur."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from filters.blur import MAX_CRISPNESS, Blur, crispness, laplacian_variance
from pipeline.errors import SampleError
from pipeline.images import decode_rgb
from pipeline.samples import Sample
from tests.broken_pictures import BROKEN, ODD, encode
from tests.jobs.recipes import ROOT

PHOTOS = ROOT / "examples" / "photos"


def photo(name):
    return decode_rgb((PHOTOS / f"{name}.jpg").read_bytes())


def judge(*images, **options):
    rule = Blur(**options)
    [measured] = rule.measure([Sample("x", images={"image" + (f"_{i}" if i else ""): encode(im, "PNG") for i, im in enumerate(images)})])
    return rule.judge(measured.scores) if measured.scores else None


@pytest.mark.parametrize("name", ["nuthatch", "wren-on-rock", "dandelion", "tea-hills", "bridge-at-night", "blue-flowers"])
def test_a_good_photograph_is_kept_and_the_same_out_of_focus_is_not(name):
    sharp = photo(name)
    assert judge(sharp) == ""
    assert judge(sharp.filter(ImageFilter.GaussianBlur(3))) == "blurred"


def test_a_soft_ground_is_no_blur():
    """On most of the picture nothing is sharp."""
    whole = photo("kitten-among-daisies")
    soft = whole.filter(ImageFilter.GaussianBlur(8))
    soft.paste(whole.crop((200, 120, 420, 320)), (200, 120))
    assert judge(soft) == "" and judge(whole.filter(ImageFilter.GaussianBlur(8))) == "blurred"


def test_high_contrast_does_not_hide_blur_and_low_contrast_is_none():
    noise = Image.fromarray((np.random.default_rng(0).random((400, 400)) > 0.5).astype(np.uint8) * 255)
    out_of_focus = noise.filter(ImageFilter.GaussianBlur(1.6))
    assert laplacian_variance(out_of_focus) > Blur.min_variance and judge(out_of_focus) == "blurred"
    assert judge(ImageEnhance.Contrast(photo("horse")).enhance(0.5)) == ""


def test_the_numbers_do_not_hang_on_the_size_of_a_large_picture():
    large = photo("bowls-of-spices").resize((1536, 1536), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(5))
    rule = Blur()
    found = [
        rule.measure([Sample("x", images={"image": encode(large.resize((side, side), Image.Resampling.BOX), "PNG")})])[0].scores
        for side in (1536, 1024, 512)
    ]
    for scores in found[1:]:
        assert scores == pytest.approx(found[0], rel=0.05)


def test_the_variance_is_that_of_the_sharpest_tiles():
    """Stripes of one pixel: the Laplacian is 4 times 100 up and down in their tiles, and 0 elsewhere."""
    luma = np.full((66, 66), 100, np.uint8)
    luma[:, ::2][:, :17] = 200
    sharpest = laplacian_variance(Image.fromarray(luma))
    assert sharpest == pytest.approx(200**2, rel=0.01)
    assert laplacian_variance(Image.new("L", (64, 64), 9)) == 0.0 and laplacian_variance(Image.new("L", (2, 2))) == 0.0
    assert crispness(Image.new("L", (64, 64), 9)) == MAX_CRISPNESS


@pytest.mark.parametrize(("bound", "reason"), [(99.9, ""), (100.1, "blurred")])
def test_both_bounds_decide(bound, reason):
    assert Blur(min_variance=bound).judge({"blur": 100.0, "blur_crispness": 9.0}) == reason
    assert Blur(min_crispness=bound).judge({"blur": 1000.0, "blur_crispness": 100.0}) == reason


def test_the_worst_picture_decides_and_maps_may_be_soft():
    sharp, soft = photo("horse"), photo("horse").filter(ImageFilter.GaussianBlur(4))
    assert judge(sharp, soft) == "blurred" and judge(sharp, sharp) == "" and judge() is None
    depth = Sample("x", images={"image": encode(sharp, "PNG"), "depth": encode(soft, "PNG")})
    assert Blur().judge(Blur().measure([depth])[0].scores) == ""


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_are_measured(name):
    [measured] = Blur().measure([Sample("x", images={"image": ODD[name]()})])
    assert measured.scores["blur"] >= 0


def test_a_picture_that_cannot_be_decoded_fails_its_sample():
    data, reason = BROKEN["jpeg_cut_in_the_middle"]
    with pytest.raises(SampleError) as caught:
        Blur().measure([Sample("x", images={"image": data()})])
    assert (caught.value.key, caught.value.reason) == ("x", reason)
