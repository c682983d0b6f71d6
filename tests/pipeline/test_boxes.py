"""Areas and overlaps of boxes."""

import pytest

from pipeline.boxes import box_area, box_overlap, clip_box

LEFT, HALF = (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.5, 0.5)


def test_an_overlap_is_the_shared_part_of_all_that_is_covered():
    assert box_overlap(LEFT, LEFT) == 1.0
    assert box_overlap(LEFT, HALF) == box_overlap(HALF, LEFT) == 0.5
    assert box_overlap(LEFT, (0.25, 0.0, 0.75, 1.0)) == pytest.approx(1 / 3)
    assert box_overlap(LEFT, (0.5, 0.0, 1.0, 1.0)) == 0.0
    assert box_overlap((0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)) == 0.0


def test_pixels_will_do_as_well():
    assert box_overlap((0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 5.0)) == 0.5


def test_a_box_turned_inside_out_has_no_area():
    assert box_area((0.5, 0.5, 0.25, 0.25)) == 0.0 and box_area((0.25, 0.0, 0.5, 0.5)) == 0.125


def test_what_reaches_beyond_the_picture_is_cut():
    assert clip_box((-0.2, 0.1, 1.3, 0.9)) == (0.0, 0.1, 1.0, 0.9)
