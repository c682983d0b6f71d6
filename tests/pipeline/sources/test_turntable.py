"""Boxes on a turntable: the sides that are said to be visible are on the picture, in their columns and in no others."""

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pipeline.config import build_kind
from pipeline.errors import RecipeError
from pipeline.sources import SOURCES
from pipeline.sources.scene import COLORS
from pipeline.sources.turntable import Turntable
from pipeline.sources.unit import Unit

SOURCE = Turntable(count=4, seed=1, size="160x128")
SAMPLES = [sample for unit in SOURCE.plan(10) for sample in SOURCE.read(unit)]


def pixels(sample, view):
    return np.asarray(Image.open(io.BytesIO(sample.images[f"view_{view}"])))


def columns(picture, color):
    """The first column that shows a colour, and the one after the last; None where it is nowhere."""
    found = np.flatnonzero((picture == COLORS[color]).all(axis=2).any(axis=0))
    return (found[0], found[-1] + 1) if len(found) else None


@pytest.mark.parametrize("source", [SOURCE, replace(SOURCE, elevation=0.0), replace(SOURCE, elevation=60.0, views=10, size="96x224")])
def test_each_view_shows_the_sides_it_should_in_their_columns_and_no_others(source):
    for sample in source.read(Unit(0, "turntable", 0, 3)):
        for view in range(1, source.views + 1):
            picture = pixels(sample, view)
            visible = {side.color: (side.left, side.right) for side in source.visible(sample.key, view)}
            for color in source.box(sample.key).colors:
                found = columns(picture, color)
                if color in visible and visible[color][1] - visible[color][0] > 3:
                    assert found == pytest.approx(visible[color], abs=1), (view, color)
                elif color not in visible:
                    assert found is None, (view, color)
            assert 1 <= len(visible) <= 2
            assert (columns(picture, "gray") is not None) == (source.elevation > 0)


def test_sides_touch_and_stand_from_left_to_right():
    for view in range(1, 17):
        sides = SOURCE.visible("0", view)
        assert all(a.right == pytest.approx(b.left) for a, b in pairwise(sides))
        assert (sides[0].left + sides[-1].right) / 2 == pytest.approx(80), "in the middle of the picture"


def test_the_sides_come_in_the_order_of_the_caption():
    for sample in SAMPLES:
        one, two, three, four = SOURCE.box(sample.key).colors
        assert sample.caption == f"a box with {one}, {two}, {three} and {four} sides on a white ground"
        seen = [[side.color for side in SOURCE.visible(sample.key, view)] for view in range(1, 17)]
        assert seen[0] == [one] and seen[1] == seen[2] == seen[3] == [one, two]
        assert seen[4] == [two] and seen[5] == [two, three] and seen[8] == [three]
        assert seen[12] == [four] and seen[13] == seen[15] == [four, one]


def test_the_azimuths_go_once_around_in_even_steps():
    assert [SOURCE.azimuth(view) for view in range(1, 17)] == [22.5 * number for number in range(16)]
    assert SAMPLES[0].metadata == {"azimuths": [22.5 * number for number in range(16)], "elevation": 20.0}
    assert list(SAMPLES[0].images) == [f"view_{number}" for number in range(1, 17)]
    assert [replace(SOURCE, views=3).azimuth(view) for view in (1, 2, 3)] == [0, 120, 240]


def test_a_box_is_as_high_in_every_view_and_ground_remains_around_it():
    for source in (SOURCE, replace(SOURCE, elevation=0.0), replace(SOURCE, elevation=60.0, size="96x224")):
        for sample in source.read(Unit(0, "turntable", 0, 4)):
            edges = []
            for view in range(1, 17):
                drawn = (pixels(sample, view) != COLORS["white"]).any(axis=2)
                rows, across = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
                margin = 0.07 * min(drawn.shape)
                assert min(rows[0], across[0], drawn.shape[0] - 1 - rows[-1], drawn.shape[1] - 1 - across[-1]) > margin
                edges.append(len(rows))
            if source.elevation == 0:
                assert max(edges) - min(edges) <= 1


def test_colours_are_told_apart():
    for number in range(200):
        colors = SOURCE.box(str(number)).colors
        assert len({*colors, "white", "gray"}) == 6


def test_boxes_depend_on_seed_and_key_alone():
    assert replace(SOURCE, count=900).draw(SAMPLES[2].key) == SAMPLES[2]
    assert list(SOURCE.read(Unit(0, "turntable", 2, None))) == SAMPLES[2:]
    assert replace(SOURCE, seed=2).draw(SAMPLES[2].key) != SAMPLES[2]
    assert [sample.key for sample in SAMPLES] == ["000000000", "000000001", "000000002", "000000003"]
    assert SOURCE.plan(3) == [Unit(0, "turntable", 0, 3), Unit(1, "turntable", 3, 4)]
    assert SOURCE.fingerprint() == {"turntable": "4 boxes"}


def test_the_views_that_multiview_asks_for_are_the_default():
    sample = Turntable(count=1).draw("0")
    assert len(sample.images) == 16
    assert {Image.open(io.BytesIO(data)).size for data in sample.images.values()} == {(384, 384)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count is at least 1"),
        ({"views": 0}, "views: 1 to 360, got 0"),
        ({"views": 361}, "views: 1 to 360, got 361"),
        ({"elevation": -0.1}, "elevation: 0 to 60 degrees"),
        ({"elevation": 60.1}, "elevation: 0 to 60 degrees"),
        ({"size": "384"}, "size: wants 'WIDTHxHEIGHT'"),
        ({"size": "15x384"}, "size: .* 16 to 8192 pixels"),
        ({"size": "384x8193"}, "size: .* 16 to 8192 pixels"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        build_kind(SOURCES, {"kind": "turntable", "count": 3, **options}, "source")


def test_options_at_their_bounds_are_taken():
    for options in ({"views": 1, "elevation": 0.0, "size": "16x16"}, {"views": 360, "elevation": 60.0, "size": "8192x8192"}):
        build_kind(SOURCES, {"kind": "turntable", "count": 1, **options}, "source")
