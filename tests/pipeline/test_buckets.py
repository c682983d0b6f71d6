"""The reference's bucket lists and its choice for a picture."""

import pytest

from pipeline.buckets import choose_bucket, cover_scale, fit_bucket, kept_fraction, make_buckets


def test_every_golden_list_is_reproduced(golden):
    for target, sizes in golden["crop_size_lists"].items():
        assert [list(size) for size in make_buckets(int(target))] == sizes


def test_every_golden_choice_is_reproduced(golden):
    for target, width, height, crop_width, crop_height in golden["bucket_choice"]["rows"]:
        assert choose_bucket(width, height, make_buckets(target)) == (crop_width, crop_height)


@pytest.mark.parametrize("target, count", [(256, 25), (384, 37), (512, 49), (768, 73), (1024, 97)])
def test_there_are_as_many_as_the_paper_has(target, count):
    assert len(make_buckets(target)) == len(set(make_buckets(target))) == count


@pytest.mark.parametrize("target", [32, 64, 96, 256, 512, 768, 1024, 2048])
def test_sizes_keep_the_area_the_grid_and_the_aspect(target):
    for width, height in make_buckets(target):
        assert width % 32 == height % 32 == 0
        assert width * height <= target * target
        assert max(width, height) <= 4 * min(width, height)


@pytest.mark.parametrize("target", [0, -32, 100, 511])
def test_a_target_off_the_grid_is_refused(target):
    with pytest.raises(ValueError, match="positive multiple of 32"):
        make_buckets(target)


def test_a_picture_of_a_listed_size_keeps_it():
    buckets = make_buckets(512)
    assert all(choose_bucket(width, height, buckets) == (width, height) for width, height in buckets)


def test_ties_go_to_the_larger_size():
    assert choose_bucket(100, 100, ((64, 64), (96, 96), (96, 32))) == (96, 96)
    assert choose_bucket(3, 2, ((96, 96), (64, 96), (144, 64))) == (144, 64)  # 2/3, 4/9, and 2/3 again


@pytest.mark.parametrize("width, height, bucket, kept", [(100, 100, (64, 64), 1.0), (200, 100, (64, 64), 0.5), (100, 200, (128, 64), 0.25)])
def test_the_kept_fraction_is_that_of_a_covering_crop(width, height, bucket, kept):
    assert kept_fraction(width, height, bucket) == pytest.approx(kept)


@pytest.mark.parametrize("width, height, scale", [(64, 64, 1.0), (32, 64, 2.0), (640, 128, 0.5), (16, 16, 4.0)])
def test_the_scale_covers_the_bucket(width, height, scale):
    assert cover_scale(width, height, (64, 64)) == scale


@pytest.mark.parametrize(
    "size, bucket",
    [
        ((300, 300), (256, 256)),  # large enough for the target itself
        ((256, 256), (256, 256)),
        ((255, 255), (192, 192)),  # one pixel short of it
        ((128, 128), (128, 128)),
        ((100, 100), (128, 128)),  # enlarged by all of them: by the smallest the least
    ],
)
def test_a_small_picture_goes_to_the_largest_target_that_does_not_enlarge_it(size, bucket):
    assert fit_bucket(*size, 256, (128, 192)) == bucket


def test_without_smaller_targets_a_small_picture_is_enlarged():
    assert fit_bucket(100, 100, 256) == (256, 256)
