"""The entropy is Shannon's; posters of two colours are dropped, night pictures are not."""

import numpy as np
import pytest
from PIL import Image

from filters.entropy import Entropy, luma_entropy
from pipeline.samples import Sample
from tests.broken_pictures import encode
from tests.jobs.recipes import ROOT


@pytest.mark.parametrize(("levels", "bits"), [(1, 0.0), (2, 1.0), (4, 2.0), (256, 8.0)])
def test_equally_frequent_levels_have_their_logarithm(levels, bits):
    luma = np.tile(np.linspace(0, 255, levels).astype(np.uint8), (64, 256 // levels))
    assert luma_entropy(Image.fromarray(luma)) == pytest.approx(bits)


def test_it_agrees_with_scikit_image():
    from skimage.measure import shannon_entropy

    luma = np.random.default_rng(0).normal(90, 30, (80, 120)).clip(0, 255).astype(np.uint8)
    assert luma_entropy(Image.fromarray(luma)) == pytest.approx(float(shannon_entropy(luma)))


@pytest.mark.parametrize(("levels", "reason"), [(3, "low_entropy"), (5, "")])
def test_both_sides_of_the_bound(levels, reason):
    luma = np.tile(np.arange(levels, dtype=np.uint8) * 40, (90, 30))
    rule = Entropy()
    [measured] = rule.measure([Sample("x", images={"image": encode(Image.fromarray(luma), "PNG")})])
    assert rule.judge(measured.scores) == reason


def test_a_night_sky_is_kept():
    data = (ROOT / "examples" / "photos" / "earth-over-moon.jpg").read_bytes()
    [measured] = Entropy().measure([Sample("x", images={"image": data})])
    assert Entropy().judge(measured.scores) == ""
