"""Bars and frames are found whatever their colour; plain backgrounds are none."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from filters.borders import Borders, _bar, border_share
from pipeline.images import decode_rgb
from pipeline.samples import Sample
from tests.broken_pictures import encode
from tests.jobs.recipes import ROOT

PHOTO = decode_rgb((ROOT / "examples" / "photos" / "horse.jpg").read_bytes()).resize((240, 240))


def as_jpeg(image, quality=60):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return decode_rgb(buffer.getvalue())


@pytest.mark.parametrize("border", [(0, 30), (30, 0), (20, 20), (0, 40, 0, 0), (0, 0, 0, 50), (10, 30, 40, 20)])
@pytest.mark.parametrize("colour", ["black", "white", "#c02080"])
def test_the_share_is_that_of_the_bars_also_through_jpeg(border, colour):
    framed = ImageOps.expand(PHOTO, border, colour)
    expected = 1 - PHOTO.width * PHOTO.height / (framed.width * framed.height)
    assert border_share(framed) == pytest.approx(expected, abs=0.005)
    assert border_share(as_jpeg(framed)) == pytest.approx(expected, abs=0.015)


def test_a_whole_picture_has_none():
    assert border_share(PHOTO) == 0.0
    assert border_share(Image.new("RGB", (64, 48), "white")) == 1.0


def test_a_thing_on_a_plain_ground_has_none():
    moon = Image.new("RGB", (256, 256), "black")
    ImageDraw.Draw(moon).ellipse((80, 80, 180, 180), fill="#d0d0c0")
    assert border_share(moon) == 0.0
    fog = Image.fromarray(np.repeat(np.linspace(200, 180, 256).astype(np.uint8)[:, None, None], 256, 1).repeat(3, 2))
    ImageDraw.Draw(fog).rectangle((0, 140, 256, 256), fill="#405060")
    assert _bar(np.asarray(fog).astype(np.int16)) == 0
    horizon = Image.new("RGB", (256, 256), "#202020")
    ImageDraw.Draw(horizon).polygon([(0, 256), (0, 230), (128, 120), (256, 230), (256, 256)], fill="#907050")
    assert border_share(horizon) == 0.0


def test_a_small_logo_on_a_bar_is_let_pass_and_a_line_of_text_is_not():
    framed = ImageOps.expand(PHOTO, (0, 60), "black")
    ImageDraw.Draw(framed).rectangle((118, 20, 121, 40), fill="white")
    assert border_share(framed) == pytest.approx(120 / 360, abs=0.005)
    ImageDraw.Draw(framed).rectangle((20, 20, 220, 40), fill="white")
    assert border_share(framed) == pytest.approx(80 / 360, abs=0.005)


@pytest.mark.parametrize(("bar", "reason"), [(78, ""), (82, "borders")])
def test_both_sides_of_the_bound(bar, reason):
    """A quarter of 240 + 80 lines."""
    rule = Borders()
    [measured] = rule.measure([Sample("x", images={"image": encode(ImageOps.expand(PHOTO, (0, 0, 0, bar), "white"), "PNG")})])
    assert rule.judge(measured.scores) == reason


def test_the_worst_picture_decides_and_large_ones_are_measured_small():
    framed = ImageOps.expand(PHOTO, (0, 60), "white").resize((1200, 1800))
    rule, sample = Borders(), Sample("x", images={"image": encode(PHOTO, "PNG"), "image_1": encode(framed, "PNG")})
    [measured] = rule.measure([sample])
    assert measured.scores == {"border_share": pytest.approx(1 / 3, abs=0.01)}
    assert rule.measure([Sample("x")])[0].scores == {}
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert border_share(Image.fromarray(noise)) == 0.0
