"""Boxes: the very pixels, inside the box, in the colour that was asked for."""

import numpy as np
import pytest

from pipeline.samples import Mark
from tokenizer.rendering.marks import draw_marks

BLACK = np.zeros((8, 10, 3), np.uint8)


def drawn(*marks: Mark, pixels: np.ndarray = BLACK) -> list[str]:
    """The red channel: # where it is on."""
    return ["".join("#" if value else "." for value in row) for row in draw_marks(pixels, marks)[..., 0]]


def test_a_box_of_one_pixel_is_drawn_to_the_pixel():
    assert drawn(Mark((0.2, 0.25, 0.8, 0.875), width=1)) == [
        "..........",
        "..........",
        "..######..",
        "..#....#..",
        "..#....#..",
        "..#....#..",
        "..######..",
        "..........",
    ]


def test_a_wider_line_grows_inwards():
    assert drawn(Mark((0.1, 0.0, 1.0, 1.0), width=2)) == [".#########"] * 2 + [".##.....##"] * 4 + [".#########"] * 2


@pytest.mark.parametrize(("box", "width"), [((0.2, 0.25, 0.8, 0.75), 2), ((0.2, 0.25, 0.8, 0.75), 9)])
def test_a_box_thinner_than_two_lines_is_filled(box, width):
    assert drawn(Mark(box, width=width)) == [".........."] * 2 + ["..######.."] * 4 + [".........."] * 2


def test_a_box_without_area_is_a_pixel_and_one_past_the_border_is_cut():
    assert sum(row.count("#") for row in drawn(Mark((0.5, 0.5, 0.5, 0.5)))) == 1
    assert drawn(Mark((-0.5, -0.5, 2.0, 0.5), width=1)) == ["##########", "#........#", "#........#", "##########"] + [".........."] * 4


@pytest.mark.parametrize(
    ("color", "rgb"), [("red", (255, 0, 0)), ("#00ff7f", (0, 255, 127)), ("lime", (0, 255, 0)), ("#0000ff80", (0, 0, 255))]
)
def test_colours_are_those_that_pillow_knows(color, rgb):
    assert tuple(draw_marks(BLACK, [Mark((0, 0, 1, 1), color)])[0, 0].tolist()) == rgb


def test_later_marks_lie_over_earlier_ones_and_the_picture_is_left_as_it_was():
    pixels = BLACK.copy()
    pixels.flags.writeable = False
    both = draw_marks(pixels, [Mark((0, 0, 1, 1), "red"), Mark((0, 0, 0.5, 0.5), "blue", 1)])
    assert both[0, 0].tolist() == [0, 0, 255] and both[0, 9].tolist() == [255, 0, 0]
    assert not pixels.any()
    assert draw_marks(pixels, []) is pixels


@pytest.mark.parametrize("mark", [Mark((0, 0, 1, 1), "rde"), Mark((0, 0, 1, 1), width=0)])
def test_what_cannot_be_drawn_is_refused(mark):
    with pytest.raises(ValueError, match=r"rde|at least 1"):
        draw_marks(BLACK, [mark])
