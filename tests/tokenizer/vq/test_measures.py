"""Measures of pictures against another library's, of sets against figures that are known, and real quantizers through all of them."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pipeline.images import apply_crop, decode_rgb, plan_crop
from tests.conftest import GOLDEN
from tokenizer.vq import ChameleonVQ
from tokenizer.vq.measures import (
    EDGE,
    MAX_PSNR,
    Measured,
    Scores,
    Tally,
    bootstrap,
    edge_contrast,
    gradient,
    interval,
    measure_pictures,
    perplexity,
    psnr,
    ssim,
)

ROOT = Path(__file__).parents[3]


def photo(name, width, height):
    picture = decode_rgb((ROOT / "examples" / "photos" / name).read_bytes())
    return np.asarray(apply_crop(picture, plan_crop(picture.size, (width, height))))


def as_jpeg(pixels, quality, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "rough.jpg", quality=quality)
    return np.asarray(Image.open(tmp_path / "rough.jpg").convert("RGB"))


def full(level, height=16, width=16):
    return np.full((height, width, 3), level, np.uint8)


class Copier:
    """Brings every picture back as it is, and says that it took the codes given to it."""

    def __init__(self, codes_hw):
        self.codes_hw, self.pixels, self.batches = codes_hw, None, []

    def encode(self, pixels_BHWC):
        self.pixels = pixels_BHWC
        self.batches.append(pixels_BHWC.shape)
        return np.stack([self.codes_hw] * len(pixels_BHWC))

    def decode(self, codes_Bhw):
        return self.pixels


@pytest.mark.parametrize("name, width, height", [("astronaut.jpg", 256, 256), ("osprey.jpg", 96, 32), ("penguin.jpg", 33, 47)])
@pytest.mark.parametrize("quality", [2, 30, 95])
def test_psnr_and_ssim_are_those_of_another_library(tmp_path, name, width, height, quality):
    original = photo(name, width, height)
    rough = as_jpeg(original, quality, tmp_path)
    assert psnr(original, rough) == pytest.approx(peak_signal_noise_ratio(original, rough, data_range=255), abs=1e-6)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1, "data_range": 255}
    assert ssim(original, rough) == pytest.approx(structural_similarity(original, rough, **options), abs=1e-4)


def test_ssim_leaves_out_the_border_where_the_window_is_not_whole():
    original = photo("astronaut.jpg", 64, 64)
    framed = original.copy()
    framed[:1], framed[-1:], framed[:, :1], framed[:, -1:] = 0, 0, 0, 0
    whole = structural_similarity(original, framed, win_size=11, channel_axis=-1, full=True)[1].mean()
    assert ssim(original, framed) > whole + 0.05


def test_equal_pictures_have_the_highest_scores():
    pixels = photo("astronaut.jpg", 64, 64)
    assert psnr(pixels, pixels) == MAX_PSNR
    assert ssim(pixels, pixels) == pytest.approx(1, abs=1e-6)


def test_psnr_of_known_errors():
    assert psnr(full(100), full(105)) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(full(0), full(255)) == 0  # and not the square of a byte that ran over
    assert psnr(full(255), full(0)) == 0


@pytest.mark.parametrize(
    "a, b",
    [
        (full(0), full(0, 16, 17)),
        (full(0).astype(np.float32), full(0).astype(np.float32)),
        (full(0)[..., 0], full(0)[..., 0]),
        (full(0)[None], full(0)[None]),
    ],
)
@pytest.mark.parametrize("measure", [psnr, ssim])
def test_what_is_no_pair_of_pictures_is_refused(measure, a, b):
    with pytest.raises(ValueError, match="wants two uint8 pictures"):
        measure(a, b)


def test_a_picture_smaller_than_ssim_s_window_is_refused():
    assert ssim(full(0, 11, 11), full(0, 11, 11)) == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(full(0, 10, 40), full(0, 10, 40))


def test_the_gradient_is_the_slope_of_a_plane():
    y, x = np.mgrid[:20, :30]
    plane = (3 * x + 4 * y).astype(np.uint8)
    assert gradient(np.stack([plane] * 3, 2)) == pytest.approx(5)
    assert gradient(np.stack([plane, 0 * plane, 0 * plane], 2)) == pytest.approx(5 / 3)  # of the mean of the channels
    assert gradient(full(77)) == 0


def bars(low, high):
    """A step from one level to another in the middle of a picture."""
    return np.repeat(np.where(np.arange(32) < 16, low, high).astype(np.uint8)[None, :, None], 32, 0).repeat(3, 2)


def test_an_edge_keeps_its_contrast_where_it_is_and_noise_elsewhere_does_not_count():
    original = bars(50, 150)
    assert edge_contrast(original, original) == pytest.approx(100)
    assert edge_contrast(original, bars(80, 120)) == pytest.approx(40)
    moved = np.roll(original, 1, 1)
    assert edge_contrast(original, moved) == pytest.approx(100)  # a pixel beside its place
    assert edge_contrast(original, np.roll(original, 3, 1)) == 0
    noise = original.copy()
    noise[:, 20::2] = 0
    assert edge_contrast(original, noise) == pytest.approx(100)
    assert edge_contrast(bars(50, 150), bars(50, 50)) == 0
    assert edge_contrast(bars(50, 50 + int(EDGE) - 1), original) == 0  # no edge in the original
    assert edge_contrast(bars(50, 50 + int(EDGE)), original) == pytest.approx(100)


def test_a_blurred_photograph_has_less_gradient():
    pixels = photo("astronaut.jpg", 128, 128)
    small = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BOX)
    assert gradient(np.asarray(small.resize((128, 128), Image.Resampling.BICUBIC))) < 0.6 * gradient(pixels)


def test_perplexity_is_the_number_of_equally_frequent_codes():
    assert perplexity(np.full(64, 7)) == pytest.approx(64)
    assert perplexity(np.array([0, 5, 0, 5, 5])) == pytest.approx(3)
    assert perplexity(np.array([0, 9, 0])) == 1
    assert perplexity(np.array([3, 1])) == pytest.approx(2 ** (2 - 0.75 * math.log2(3)))


def test_an_interval_holds_the_mean_and_narrows_with_more_pictures():
    values = np.random.default_rng(0).normal(25, 3, (1600, 1))
    widths = []
    for count in (25, 100, 400, 1600):
        low, high = interval(bootstrap(values[:count], seed=1)[:, 0])
        assert low < values[:count].mean() < high
        assert high - low == pytest.approx(2 * 1.96 * values[:count].std() / math.sqrt(count), rel=0.12)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    intervals = [interval(bootstrap(rng.exponential(2, (60, 1)), seed, num_resamples=300)[:, 0]) for seed in range(200)]
    assert 0.88 < np.mean([low < 2 < high for low, high in intervals]) < 0.985


def test_resamples_depend_on_the_seed_alone():
    rows = np.random.default_rng(0).random((30, 2))
    assert np.array_equal(bootstrap(rows, seed=5), bootstrap(rows, seed=5))
    assert not np.array_equal(bootstrap(rows, seed=5), bootstrap(rows, seed=6))


def scored(rows):
    tally = Tally(num_codes=4)
    for row in rows:
        tally.add(Measured(np.zeros((1, 1), np.int32), full(0), Scores(*row, *row[2:])))
    return tally.figures(seed=0)


def test_the_gradient_share_is_a_ratio_of_sums_whose_parts_are_drawn_together():
    originals = np.random.default_rng(0).exponential(10, 40)
    figures = scored([(20.0 + i, 0.5, 0.25 * g, g) for i, g in enumerate(originals)])
    assert (figures.gradient.mean, figures.gradient.low, figures.gradient.high) == pytest.approx((0.25, 0.25, 0.25))
    assert figures.psnr.low < figures.psnr.mean < figures.psnr.high
    assert figures.psnr.mean == pytest.approx(39.5)
    assert scored([(20.0, 0.5, 1.0, 2.0), (20.0, 0.5, 1.0, 8.0)]).gradient.mean == pytest.approx(0.2)  # not the mean of 1/2 and 1/8


def test_one_picture_has_no_interval_and_a_flat_one_no_gradient_share():
    figures = scored([(20.0, 0.5, 1.0, 0.0)])
    assert figures.psnr.mean == 20 and math.isnan(figures.psnr.low) and math.isnan(figures.psnr.high)
    assert math.isnan(figures.gradient.mean)
    assert math.isnan(Scores(20.0, 0.5, 1.0, 0.0, 0.0, 0.0).gradient_share)
    with pytest.raises(ValueError, match="no pictures"):
        scored([])


def test_codes_are_counted_over_all_pictures():
    tally = Tally(num_codes=64)
    pictures = [photo("astronaut.jpg", 32, 16), photo("osprey.jpg", 32, 16)]
    for measured in measure_pictures(Copier(np.arange(32).reshape(4, 8)), pictures):  # 4 x 4 pixels a code
        tally.add(measured)
    figures = tally.figures(seed=0)
    assert (figures.num_pictures, figures.psnr.mean, figures.gradient.mean) == (2, MAX_PSNR, 1)
    assert (figures.psnr.low, figures.psnr.high) == (MAX_PSNR, MAX_PSNR)
    assert (figures.codes_emitted, figures.codes_reachable, figures.codes_used) == (64, 64, 32)
    assert figures.codes_used_share == figures.perplexity_share == pytest.approx(0.5)
    assert figures.perplexity == pytest.approx(32)
    assert (figures.bits_raw, figures.bits_entropy) == pytest.approx((6 / 16, 5 / 16))


def test_few_pictures_cannot_use_more_codes_than_they_have():
    tally = Tally(num_codes=8192)
    for measured in measure_pictures(Copier(np.arange(8).reshape(2, 4)), [photo("osprey.jpg", 64, 32)]):
        tally.add(measured)
    assert tally.figures(seed=0).codes_reachable == 8


def test_neighbours_of_one_size_share_a_batch_of_bounded_size(monkeypatch):
    monkeypatch.setattr("tokenizer.vq.measures.BATCH_PIXELS", 2 * 32 * 32)
    copier = Copier(np.zeros((2, 2), np.int32))
    pictures = [full(level, 32, 32) for level in range(5)] + [full(5, 16, 32), full(6, 64, 64)]
    levels = [int(measured.decoded_HWC[0, 0, 0]) for measured in measure_pictures(copier, iter(pictures))]
    assert levels == list(range(7))
    assert [shape[:3] for shape in copier.batches] == [(2, 32, 32), (2, 32, 32), (1, 32, 32), (1, 16, 32), (1, 64, 64)]


def test_a_real_quantizer_is_measured_by_what_it_encodes_and_decodes():
    vq = ChameleonVQ(str(GOLDEN / "tokenizer" / "vqgan.yaml"), str(GOLDEN / "tokenizer" / "vqgan.ckpt")).load()
    pictures = [photo("astronaut.jpg", 64, 64), photo("osprey.jpg", 64, 64), photo("penguin.jpg", 32, 96)]
    for pixels, measured in zip(pictures, measure_pictures(vq, pictures), strict=True):
        assert np.array_equal(measured.codes_hw, vq.encode(pixels[None])[0])
        decoded = vq.decode(measured.codes_hw[None])[0]
        assert np.abs(measured.decoded_HWC.astype(int) - decoded).max() <= 1  # two pictures a pass: other last bits
        assert measured.scores.psnr == pytest.approx(psnr(pixels, decoded), abs=0.02)
        assert measured.scores.gradient_share == pytest.approx(gradient(decoded) / gradient(pixels), rel=0.01)


def test_the_bundled_quantizer_s_pictures_are_near_their_originals():
    pictures = [photo("astronaut.jpg", 128, 128), photo("osprey.jpg", 128, 128)]
    measured = list(measure_pictures(ChameleonVQ().load(), pictures))
    noise = np.random.default_rng(0).integers(0, 256, pictures[0].shape, dtype=np.uint8)
    for pixels, each in zip(pictures, measured, strict=True):
        assert each.scores.psnr > psnr(pixels, noise) + 5
        assert each.scores.ssim > ssim(pixels, noise) + 0.2
        assert 0.1 < each.scores.gradient_share < 3


def test_the_module_loads_no_torch():
    code = "import sys, tokenizer.vq.measures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
