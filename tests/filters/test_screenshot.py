"""Screens and pages are dropped; walls, skies and drawn art lack one of the three signs."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.planted_screens import SCREENS
from filters.screenshot import Screenshot, screenshot_likeness
from pipeline.images import decode_rgb
from pipeline.samples import Sample
from tests.broken_pictures import encode
from tests.jobs.recipes import ROOT

PHOTOS = ROOT / "examples" / "photos"
HORSE = decode_rgb((PHOTOS / "horse.jpg").read_bytes())


def through(image, format, quality):
    buffer = io.BytesIO()
    image.save(buffer, format, quality=quality)
    return decode_rgb(buffer.getvalue())


@pytest.mark.parametrize("kind", SCREENS)
@pytest.mark.parametrize(("format", "quality"), [("PNG", 0), ("JPEG", 90), ("JPEG", 75), ("WEBP", 80)])
def test_a_screen_is_one_in_every_format(kind, format, quality):
    drawn = SCREENS[kind](HORSE, np.random.default_rng(5))
    assert screenshot_likeness(through(drawn, format, quality)) > 0.5


@pytest.mark.parametrize("name", ["horse", "two-dogs-at-window", "swans", "earth-over-moon", "vermilion-gates", "skyline-at-dusk"])
def test_a_photograph_is_none(name):
    assert screenshot_likeness(decode_rgb((PHOTOS / f"{name}.jpg").read_bytes())) < 0.4


def test_each_sign_is_wanted():
    flat = Image.new("RGB", (256, 256), "white")
    assert screenshot_likeness(flat) == 0.0
    disc = flat.copy()
    ImageDraw.Draw(disc).ellipse((20, 20, 236, 236), fill="black")
    assert screenshot_likeness(disc) < 0.4
    noise = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)
    assert screenshot_likeness(Image.fromarray(noise)) < 0.05
    stripes = np.repeat(np.tile(np.array([0, 255], np.uint8), 64), 2)[None].repeat(256, 0)
    assert screenshot_likeness(Image.fromarray(stripes)) == 0.0


def test_boxes_on_a_ground_have_all_signs():
    boxes = Image.new("RGB", (320, 320), "white")
    for x in range(0, 320, 40):
        for y in range(0, 320, 40):
            ImageDraw.Draw(boxes).rectangle((x + 8, y + 8, x + 32, y + 32), fill="#204080")
    assert screenshot_likeness(boxes) == 1.0


def test_a_large_screen_is_looked_at_in_windows():
    small = SCREENS["window"](HORSE, np.random.default_rng(5))
    large = Image.new("RGB", (1920, 1440))
    for x in range(0, 1920, small.width):
        for y in range(0, 1440, small.height):
            large.paste(small, (x, y))
    assert screenshot_likeness(large) == pytest.approx(screenshot_likeness(small), abs=0.2)
    assert screenshot_likeness(HORSE.resize((1600, 1200))) < 0.4


@pytest.mark.parametrize(("bound", "reason"), [(0.99, "screenshot"), (1.0, "")])
def test_both_sides_of_the_bound_and_the_worst_picture_decides(bound, reason):
    rule = Screenshot(max_likeness=bound)
    window = encode(SCREENS["window"](HORSE, np.random.default_rng(5)), "PNG")
    [measured] = rule.measure([Sample("x", images={"image": encode(HORSE, "PNG"), "image_1": window})])
    assert measured.scores == {"screenshot_likeness": 1.0} and rule.judge(measured.scores) == reason
