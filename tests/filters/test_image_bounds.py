"""Filters that look at headers: both sides of each bound, the score beside it, several pictures, none."""

import pytest

from filters.aspect_ratio import AspectRatio
from filters.crop_loss import CropLoss
from filters.image_header import ImageHeaderBounds
from filters.image_size import ImageSize
from pipeline.buckets import choose_bucket, kept_fraction, make_buckets
from pipeline.config import build
from pipeline.errors import RecipeError
from pipeline.samples import ImageHeader, Sample
from tests.filters.verdicts import judged


def sample(*sizes, num_bytes=100_000, num_frames=1, **roles):
    """A sample with pictures of these sizes, as `image` or `image_1`, ..., and further ones by role."""
    names = ["image"] if len(sizes) == 1 else [f"image_{n}" for n in range(1, len(sizes) + 1)]
    headers = {role: ImageHeader("JPEG", *size, num_bytes, num_frames) for role, size in [*zip(names, sizes, strict=True), *roles.items()]}
    return Sample("x", images=dict.fromkeys(headers, b""), headers=headers)


def judge(rule, *sizes, **others):
    [verdict] = judged(rule, [sample(*sizes, **others)])
    return verdict.reason if not verdict.keep else ""


@pytest.mark.parametrize(
    ("others", "size", "reason"),
    [
        ({"num_bytes": 9_999}, (100, 100), "too_few_bytes"),
        ({"num_bytes": 10_000}, (100, 100), ""),
        ({"num_bytes": 50_000_000}, (100, 100), ""),
        ({"num_bytes": 50_000_001}, (100, 100), "too_many_bytes"),
        ({}, (8000, 8000), ""),
        ({}, (8000, 8001), "too_many_pixels"),
        ({"num_frames": 2}, (100, 100), "too_many_frames"),
    ],
)
def test_image_header(others, size, reason):
    assert judge(ImageHeaderBounds(), size, **others) == reason


def test_image_header_s_numbers_are_those_of_the_worst_picture():
    [verdict] = judged(ImageHeaderBounds(), [sample((10, 10), (8000, 9000))])
    numbers = {"num_bytes": 1e5, "most_bytes": 1e5, "num_pixels": 72e6, "num_frames": 1.0}
    assert (verdict.reason, verdict.scores) == ("too_many_pixels", numbers)
    [verdict] = judged(ImageHeaderBounds(), [sample((10, 10), (20, 20))])
    assert verdict.scores["num_pixels"] == 400.0


@pytest.mark.parametrize(
    ("rule", "size", "reason"),
    [
        (ImageSize(512, min_side=400), (399, 5000), "side_too_short"),
        (ImageSize(512, min_side=400), (400, 400), ""),
        (ImageSize(512), (385, 385), ""),  # enlarged by 1.3299
        (ImageSize(512), (384, 384), "upscaled_too_much"),  # by 1.3333
        (ImageSize(256), (193, 193), ""),
        (ImageSize(768), (512, 512), "upscaled_too_much"),
        (ImageSize(512, max_upscale=1.0), (512, 512), ""),
        (ImageSize(512, max_upscale=1.0), (511, 512), "upscaled_too_much"),
    ],
)
def test_image_size(rule, size, reason):
    assert judge(rule, size) == reason
    assert judge(rule, size[::-1]) == reason


def test_upscaling_is_the_factor_by_which_the_bucket_is_covered():
    [verdict] = judged(ImageSize(512), [sample((1024, 256))])
    assert verdict.scores == {"min_side": 256.0, "upscale": 1.0}
    [verdict] = judged(ImageSize(512), [sample((512, 128))])
    assert verdict.scores == {"min_side": 128.0, "upscale": 2.0}


@pytest.mark.parametrize(
    ("size", "reason"), [((300, 100), ""), ((301, 100), "too_elongated"), ((100, 300), ""), ((100, 301), "too_elongated")]
)
def test_aspect_ratio(size, reason):
    assert judge(AspectRatio(), size) == reason
    [verdict] = judged(AspectRatio(), [sample(size)])
    assert verdict.scores == {"aspect_ratio": max(size) / 100}


def test_crop_loss_is_what_the_bucket_cuts_away():
    wide = (4 * 512 + 800, 512)  # wider than the widest bucket
    bucket = choose_bucket(*wide, make_buckets(512))
    [verdict] = judged(CropLoss(512), [sample(wide)])
    assert bucket == (1024, 256)
    assert verdict.scores["crop_loss"] == pytest.approx(1 - kept_fraction(*wide, bucket)) == pytest.approx(1 - 4 * 512 / wide[0])
    assert verdict.reason == "crop_loss_too_high"


@pytest.mark.parametrize(("width", "reason"), [(2048, ""), (2048 / 0.851, ""), (2048 / 0.849, "crop_loss_too_high")])
def test_crop_loss(width, reason):
    assert judge(CropLoss(512), (round(width), 512)) == reason


RULES = {
    "image_header": (ImageHeaderBounds(max_pixels=5000), (100, 100)),
    "image_size": (ImageSize(512), (10, 10)),
    "aspect_ratio": (AspectRatio(), (500, 10)),
    "crop_loss": (CropLoss(512), (5000, 10)),
}


@pytest.mark.parametrize("name", RULES)
def test_the_worst_plain_picture_decides_and_maps_are_not_judged(name):
    rule, bad = RULES[name]
    good = (50, 50) if name == "image_header" else (600, 600)
    assert judge(rule, bad) and not judge(rule, good)
    assert judge(rule, good, bad) and judge(rule, bad, good)
    assert not judge(rule, good, depth=bad, edited_1=bad, segmentation=bad)
    assert not judge(rule)


@pytest.mark.parametrize("name", RULES)
def test_roles_can_be_named(name):
    rule, bad = RULES[name]
    table = {key: getattr(rule, key) for key in ("target_size", "max_pixels") if hasattr(rule, key)}
    assert judge(build(type(rule), {**table, "roles": ["depth"]}, "filter"), (50, 50), depth=bad)
    assert not judge(build(type(rule), {**table, "roles": ["depth"]}, "filter"), bad)


@pytest.mark.parametrize("rule", [ImageSize, CropLoss])
def test_a_target_that_has_no_buckets_is_refused(rule):
    with pytest.raises(RecipeError, match="a positive multiple of 32, got 100"):
        build(rule, {"target_size": 100}, "filter")
