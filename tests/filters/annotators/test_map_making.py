"""What all annotators of maps do: who gets a map, in which size, and that a map lies over its picture."""

import io
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from filters.annotators.held_answers import HeldAnswers
from filters.annotators.map_making import MIN_SIDE, GrayMap, add_maps, encode_gray, made_by
from filters.annotators.network import Refused
from pipeline.errors import SampleError
from pipeline.images import read_header
from pipeline.samples import Sample, Turn
from tests.filters.annotators.pictures import broken, picture, samples
from tokenizer.framing import frame_sample
from tokenizer.options import TokenOptions


@dataclass(frozen=True)
class Maker:
    max_side: int = 1024
    replace_existing: bool = False


def gray(pictures):
    return [GrayMap(each[..., 0], {"made": True}) for each in pictures]


def mapped(given, draw=gray, held=None, **options):
    return add_maps(given, "canny", held or HeldAnswers(), maker=Maker(**options), draw=draw)


def opened(sample, role="canny"):
    return Image.open(io.BytesIO(sample.images[role]))


def test_every_picture_gets_a_map_of_its_size_with_its_header():
    for before, after in zip(samples(4), mapped(samples(4)), strict=True):
        assert opened(after).size == opened(before, "image").size and after.metadata == {"made": True}
        assert after.headers["canny"] == read_header(after.images["canny"]) and after.headers["canny"].mode == "L"
        assert np.array_equal(np.asarray(opened(after)), np.asarray(opened(before, "image"))[..., 0])


@pytest.mark.parametrize("size", [(1000, 667), (667, 1000), (500, 500), (1023, 21), (333, 999), (997, 991)])
@pytest.mark.parametrize("max_side", [100, 499])
def test_a_map_that_is_smaller_than_its_picture_lies_over_it(size, max_side):
    given = Sample("a", "", {"image": picture(0, size)})
    if min(size) * max_side / max(size) < MIN_SIDE:
        with pytest.raises(SampleError, match="canny_picture_unusable"):
            mapped([given], max_side=max_side)
        return
    [sample] = mapped([given], max_side=max_side)
    assert max(opened(sample).size) == max_side
    framings = frame_sample(replace(sample, headers={**sample.headers, "image": read_header(sample.images["image"])}), TokenOptions(), 0)
    assert framings["canny"].is_aligned and framings["canny"].crop == framings["image"].crop


def test_a_picture_that_lies_on_its_side_gets_an_upright_map():
    file = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (60, 40)).save(file, "JPEG", exif=exif)
    [sample] = mapped([Sample("a", "", {"image": file.getvalue()})])
    assert opened(sample).size == (40, 60)


def test_a_map_that_is_there_stays_unless_it_is_to_be_replaced():
    own = encode_gray(np.zeros((4, 6), np.uint8))
    [sample] = samples(1)
    given = replace(sample, images={**sample.images, "canny": own}, metadata={"own": 1})
    assert mapped([given]) == [given]
    [replaced] = mapped([given], replace_existing=True)
    assert replaced.images["canny"] != own and replaced.metadata == {"own": 1, "made": True}


def test_dialogues_get_maps_and_texts_do_not():
    [sample] = samples(1)
    dialogue = replace(sample, turns=(Turn("user", ("hello",)),))
    only_map = Sample("map", "", {"depth": sample.images["image"]})
    text = Sample("text", "words")
    annotated = mapped([text, dialogue, only_map])
    assert annotated[0] == text and "canny" in annotated[1].images and annotated[2] == only_map


def test_a_picture_without_the_name_image_is_one_too():
    [sample] = mapped([Sample("views", "", {"view_1": picture(0), "view_2": picture(1)})])
    assert opened(sample).size == opened(sample, "view_1").size


@pytest.mark.parametrize("side, is_usable", [(MIN_SIDE, True), (MIN_SIDE - 1, False)])
def test_threads_are_refused(side, is_usable):
    given = [Sample("thread", "", {"image": picture(0, (side, 90))})]
    if is_usable:
        assert "canny" in mapped(given)[0].images
    else:
        with pytest.raises(SampleError, match=r"thread: canny_picture_unusable \(15 x 90 pixels"):
            mapped(given)


def test_what_fails_costs_itself_and_nothing_is_asked_for_twice():
    asked, held = [], HeldAnswers()

    def draw(pictures):
        asked.append(len(pictures))
        return [Refused("dull") if each.shape[0] == 33 else found for each, found in zip(pictures, gray(pictures), strict=True)]

    given = [*samples(5), broken("bad")]
    with pytest.raises(SampleError, match=r"003: canny_picture_unusable \(dull"):
        mapped(given, draw, held)
    with pytest.raises(SampleError, match="bad: broken_image"):
        mapped([sample for sample in given if sample.key != "003"], draw, held)
    rest = [sample for sample in given if sample.key not in ("003", "bad")]
    assert mapped(rest, draw, held) == mapped(rest) and asked == [5]


def test_the_same_map_is_the_same_file_in_8_and_16_bits():
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    assert encode_gray(values) == encode_gray(values.copy())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_gray(values)))), values)
    assert read_header(encode_gray(values)).mode == "I;16" and read_header(encode_gray(values.astype(np.uint8))).mode == "L"


def test_a_model_is_named_with_its_commit_where_it_has_one():
    assert made_by("org/name", "abc") == "org/name@abc" and made_by("/folder", "") == "/folder"
