"""Equal samples have equal signatures, and no others do; of equals one is kept."""

import io
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from filters.exact_duplicates import ExactDuplicates
from pipeline.errors import SampleError
from pipeline.run_view import RunView
from pipeline.samples import ImageRef, Sample, Turn


def signature(sample, **options):
    return ExactDuplicates(**options).signature(sample)


def test_the_pictures_alone_decide():
    one = Sample("a", "one", {"image": b"p"}, metadata={"url": "x"})
    assert signature(one) == signature(Sample("b", "two", {"image": b"p"}))
    assert signature(one) != signature(Sample("a", "one", {"image": b"q"}))


def test_the_caption_can_be_made_to_count():
    one, two = Sample("a", "one", {"image": b"p"}), Sample("b", "two", {"image": b"p"})
    assert signature(one, include_caption=True) != signature(two, include_caption=True)
    assert signature(one, include_caption=True) == signature(replace(two, caption="one"), include_caption=True)


def test_different_samples_have_different_signatures():
    def said(*content):
        return (Turn("user", content), Turn("assistant", ("yes",)))

    samples = [
        Sample("x", images={"image": b"ab"}),
        Sample("x", images={"image": b"ab", "depth": b"c"}),
        Sample("x", images={"image": b"a", "depth": b"bc"}),
        Sample("x", images={"depth": b"ab"}),
        Sample("x", images={"image_1": b"a", "image_2": b"b"}),
        Sample("x", images={"image_1": b"b", "image_2": b"a"}),
        Sample("x", images={"image": b"ab"}, turns=said("a")),
        Sample("x", images={"image": b"ab"}, turns=said("a", ImageRef("image"))),
        Sample("x", images={"image": b"ab"}, turns=said(ImageRef("image"), "a")),
        Sample("x", turns=said("a")),
        Sample("x", turns=said("b")),
    ]
    for one, two in combinations(samples, 2):
        assert signature(one) != signature(two)
    assert signature(samples[6]) == signature(replace(samples[6], key="y", caption="z"))


def test_a_sample_of_nothing_is_no_duplicate():
    assert signature(Sample("x", "caption")) is None


def test_a_signature_has_32_bytes_and_stays_the_same():
    assert signature(Sample("x", images={"image": b"p"})).hex() == "50c59d99582437bbf4ecfa6545d5e7a6bf8009b7682177f72781154ca8f4902b"


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_by_pixels_the_file_s_format_does_not_count():
    image = Image.effect_noise((6, 4), 50).convert("RGB")
    exif = Image.Exif()
    exif[274] = 6  # to be turned a quarter clockwise
    turned = encoded(image.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    files = [encoded(image, "PNG"), encoded(image, "PNG", compress_level=0), encoded(image, "WEBP", lossless=True), turned]
    by_pixels = {signature(Sample("x", images={"image": data}), by="pixels") for data in files}
    assert len(by_pixels) == 1 and len({signature(Sample("x", images={"image": data})) for data in files}) == len(files)


def test_by_pixels_one_of_them_and_the_size_count():
    image = Image.new("RGB", (6, 4))
    changed = image.copy()
    changed.putpixel((5, 3), (0, 0, 1))
    samples = [Sample("x", images={"image": encoded(each, "PNG")}) for each in (image, changed, image.resize((4, 6)), image.resize((8, 3)))]
    assert len({signature(each, by="pixels") for each in samples}) == len(samples)


def test_by_pixels_a_broken_picture_fails_its_sample():
    with pytest.raises(SampleError, match="x: not_an_image"):
        signature(Sample("x", images={"image": b"p"}), by="pixels")


def view(rows, alive=None):
    columns = {"key": pa.array([row[0] for row in rows]), "signature.exact_duplicates": pa.array([row[1] for row in rows], pa.binary())}
    for name, place in (("original_width", 2), ("aesthetic", 3)):
        columns[name] = pa.array([row[place] if len(row) > place else None for row in rows], pa.float64())
    columns["original_height"] = columns["original_width"]
    return RunView(pa.table(columns), np.ones(len(rows), bool) if alive is None else np.array(alive))


def left_out(rows, alive=None):
    rulings = ExactDuplicates().judge_run(view(rows, alive))
    return {rows[row][0]: ruling.duplicate_of for row, ruling in rulings.items()}


def test_of_equals_the_best_is_kept_then_the_largest_then_the_first_key():
    assert left_out([("b", b"1"), ("a", b"1"), ("c", b"2"), ("d", None), ("e", None)]) == {"b": "a"}
    assert left_out([("a", b"1", 10), ("b", b"1", 20), ("c", b"1", 20)]) == {"a": "b", "c": "b"}
    assert left_out([("a", b"1", 90, 4.0), ("b", b"1", 20, 5.0), ("c", b"1", 99)]) == {"a": "b", "c": "b"}


def test_the_keeper_does_not_hang_on_the_order_of_the_input():
    rows = [(f"{n:02}", bytes([n % 3]), n % 5, float(n % 2)) for n in range(30)]
    assert left_out(rows) == left_out(rows[::-1]) and len(left_out(rows)) == 27


def test_what_was_left_out_before_takes_no_sample_with_it():
    assert left_out([("a", b"1"), ("b", b"1"), ("c", b"1")], alive=[False, True, True]) == {"c": "b"}
    assert left_out([("a", b"1"), ("b", b"1")], alive=[False, True]) == {}
    assert left_out([]) == {}
