"""Edges: where OpenCV's Canny finds them, white on black."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

import filters.libraries
from filters.annotators.canny import Canny
from filters.stage import AnnotatorStage
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from tests.filters.annotators.pictures import samples


def stored(sample, role="canny"):
    return np.asarray(Image.open(io.BytesIO(sample.images[role])))


def square(dark=60, light=200):
    image = Image.new("RGB", (80, 60), (dark, dark, dark))
    ImageDraw.Draw(image).rectangle((20, 15, 59, 44), fill=(light, light, light))
    file = io.BytesIO()
    image.save(file, "PNG")
    return Sample("square", "", {"image": file.getvalue()})


def annotated(given, **options):
    annotator = Canny(**options)
    annotator.check()
    stage = AnnotatorStage("canny", annotator)
    assert stage.model is None
    stage.setup(None)
    return stage(given)


def test_edges_are_opencvs():
    for sample in annotated(samples(4)):
        gray = cv2.cvtColor(cv2.imdecode(np.frombuffer(sample.images["image"], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2GRAY)
        assert np.array_equal(stored(sample), cv2.Canny(gray, 100, 200))


def test_a_square_has_four_white_sides_and_nothing_else():
    [sample] = annotated([square()])
    edges = stored(sample)
    assert set(np.unique(edges)) == {0, 255} and sample.headers["canny"].mode == "L"
    rows, columns = np.nonzero(edges)
    assert (abs(rows.min() - 15), abs(rows.max() - 44), abs(columns.min() - 20), abs(columns.max() - 59)) <= (1, 1, 1, 1)
    assert not edges[18:42, 23:57].any()


def test_thresholds_decide_what_an_edge_is():
    faint = square(100, 130)  # Sobel answers with 4 times the step, at corners with 6 times
    assert stored(annotated([faint], low_threshold=50, high_threshold=110)[0]).any()
    assert not stored(annotated([faint], low_threshold=50, high_threshold=185)[0]).any()
    for options in ({"low_threshold": 201}, {"low_threshold": -1}, {"max_side": 0}):
        with pytest.raises(ValueError, match=r"wanted|1 or more"):
            Canny(**options)


def test_without_opencv_the_recipe_is_refused_and_told_what_to_install(monkeypatch):
    monkeypatch.setattr(filters.libraries, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r'annotator canny: the library cv2 is not installed; pip install "mgpt\[maps\]"'):
        Canny().check()
