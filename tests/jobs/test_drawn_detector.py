"""The detector: right on every drawn kind, not fooled by what is no shape, and as good on what the VQ gives back."""

import io
from itertools import product

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jobs.drawn_detector import detect, nearest_color, to_lab
from pipeline.sources.scene import COLORS, PLACES, RADII, Scene, Thing
from pipeline.sources.scene_drawing import draw_image
from pipeline.sources.scene_shapes import SHAPES
from pipeline.sources.shapes import Shapes
from tokenizer.vq.chameleon import ChameleonVQ


def pixels(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def drawn(color: str, shape: str, ground: str, radius: float = 0.36, side: int = 96) -> np.ndarray:
    return pixels(draw_image(Scene((Thing(color, shape, "", 0.51, 0.49, radius),), ground), side, side))


def test_pairs_of_colours_are_told():
    names = list(COLORS)
    pairs = [(names[i], names[j]) for i, j in product(range(len(names)), repeat=2) if (i + j) % 2]  # each colour as ground and as thing
    for number, (ground, color) in enumerate(pairs):
        shape = SHAPES[number % len(SHAPES)]
        seen = detect(drawn(color, shape, ground))
        assert (seen.ground, seen.color, seen.shape) == (ground, color, shape)


@pytest.mark.parametrize("size", RADII)
def test_every_shape_of_every_size_is_told_with_its_place(size):
    for number, shape in enumerate(SHAPES):
        place = "in the middle" if size == "huge" else list(PLACES)[number]
        thing = Thing("red", shape, size, *PLACES[place], sum(RADII[size]) / 2)
        seen = detect(pixels(draw_image(Scene((thing,), "white"), 128, 160)))
        assert (seen.shape, seen.size, seen.place) == (shape, size, place)
        assert seen.overlap > 0.9


def test_a_ring_is_its_hole():
    ring = drawn("blue", "ring", "white")
    filled = ring.copy()
    filled[30:66, 30:66] = COLORS["blue"]
    assert detect(ring).shape == "ring"
    assert detect(filled).shape == "circle"


def test_an_empty_picture_shows_nothing():
    seen = detect(np.full((96, 96, 3), COLORS["pink"], np.uint8))
    assert (seen.ground, seen.color, seen.shape) == ("pink", "", "")


def test_what_has_no_shape_s_outline_is_no_shape():
    image = Image.new("RGB", (96, 96), COLORS["white"])
    pen = ImageDraw.Draw(image)
    pen.rectangle((10, 44, 86, 52), fill=COLORS["red"])  # a bar
    assert (detect(np.asarray(image)).color, detect(np.asarray(image)).shape) == ("red", "")
    pen.rectangle((10, 10, 18, 86), fill=COLORS["red"])  # an L
    assert detect(np.asarray(image)).shape == ""


def test_half_a_shape_is_not_the_shape():
    half = drawn("green", "circle", "white")
    half[:, 48:] = COLORS["white"]
    assert detect(half).shape != "circle"


def test_a_second_thing_lowers_the_overlap():
    picture = drawn("green", "square", "white", radius=0.2)
    alone = detect(picture).overlap
    picture[4:34, 4:34] = COLORS["green"]
    assert detect(picture).overlap < alone - 0.2


def test_lab_is_as_published():
    """Of sRGB's corners under D65, as colour tables give them."""
    wanted = {(255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0), (255, 0, 0): (53.24, 80.09, 67.20), (0, 0, 255): (32.30, 79.19, -107.86)}
    for rgb, lab in wanted.items():
        assert np.abs(to_lab(np.array(rgb)) - lab).max() < 0.02


def test_a_shifted_colour_keeps_its_name_until_another_is_nearer():
    red, orange = np.array(COLORS["red"]), np.array(COLORS["orange"])
    assert nearest_color(red * 0.8 + orange * 0.2) == "red"
    assert nearest_color(red * 0.2 + orange * 0.8) == "orange"


def test_what_the_vq_gives_back_is_told_as_well():
    """Of 40 huge things all but one at most; the benchmark in docs/drawn_world.md has more of them."""
    source, vq = Shapes(count=40, seed=4, sizes=("96x96",), max_things=1, thing_sizes=("huge",), gradient_share=0.0), ChameleonVQ().load()
    right = 0
    for sample in (source.draw(f"{number:09d}") for number in range(40)):
        [decoded] = vq.decode(vq.encode(pixels(sample.images["image"])[None]))
        seen = detect(decoded)
        right += f"{seen.color} {seen.shape}" in sample.caption
    assert right >= 39
