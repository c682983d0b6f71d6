"""A sketch: dark lines on white."""

import io

import numpy as np
import pytest
from PIL import Image

import filters.libraries
from filters.annotators.sketch import Sketch
from filters.stage import AnnotatorStage
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from tests.filters.annotators.pictures import samples
from tests.filters.annotators.test_canny import square


def annotated(given, **options):
    annotator = Sketch(**options)
    annotator.check()
    stage = AnnotatorStage("sketch", annotator)
    stage.setup(None)
    return [np.asarray(Image.open(io.BytesIO(sample.images["sketch"]))) for sample in stage(given)]


@pytest.mark.parametrize("level", [0, 1, 40, 128, 255])
def test_what_has_no_lines_is_white(level):
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (level, level, level)).save(file, "PNG")
    [sketch] = annotated([Sample("flat", "", {"image": file.getvalue()})])
    assert sketch.shape == (30, 40) and sketch.min() >= 253


def test_lines_lie_on_the_dark_side_of_an_edge():
    [sketch] = annotated([square()], sigma=3)
    inside, outside, far = sketch[20:40, 25:55], sketch[20:40, 18:20], sketch[20:40, :4]
    assert inside.min() == 255 and outside.max() < 160 and far.min() > 250


def test_a_wider_blur_makes_wider_lines():
    narrow, wide = (annotated([square()], sigma=sigma)[0] for sigma in (2, 8))
    assert (narrow < 200).sum() < (wide < 200).sum()
    with pytest.raises(ValueError, match="sigma is above 0"):
        Sketch(sigma=0)


def test_a_sketch_is_the_dodge_of_a_picture_and_its_blurred_inverse():
    import cv2

    [sample] = samples(1)
    gray = cv2.cvtColor(cv2.imdecode(np.frombuffer(sample.images["image"], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2GRAY)
    around = 255 - cv2.GaussianBlur(255 - gray, (0, 0), 8).astype(float)
    wanted = np.minimum((gray + 1.0) / (around + 1) * 255, 255)
    assert np.abs(annotated([sample])[0] - wanted).max() < 1


def test_without_opencv_the_recipe_is_refused_and_told_what_to_install(monkeypatch):
    monkeypatch.setattr(filters.libraries, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"annotator sketch: the library cv2 is not installed"):
        Sketch().check()
