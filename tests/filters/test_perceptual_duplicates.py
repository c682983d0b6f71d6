"""Copies of a picture are found over the whole run; edits, other questions and blank pages are no copies."""

import io
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from filters.perceptual_duplicates import PerceptualDuplicates
from pipeline.errors import RecipeError, SampleError
from pipeline.images import decode_rgb
from pipeline.run_view import RunView
from pipeline.samples import Sample, Turn

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


def photo(name):
    return decode_rgb((PHOTOS / f"{name}.jpg").read_bytes())


def encoded(image, kind="PNG", quality=75):
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def sample(key, *pictures, **others):
    roles = ["image", *(f"edited_{number}" for number in range(1, len(pictures)))]
    return Sample(key, images={role: encoded(picture) for role, picture in zip(roles, pictures, strict=False)}, **others)


def left_out(samples, alive=None, **options):
    rule = PerceptualDuplicates(**options)
    columns = {"key": [each.key for each in samples]}
    columns |= {name: [None if not each.images else 9 for each in samples] for name in ("original_width", "original_height")}
    signatures = pa.array([each.signature for each in rule.measure(samples)], pa.binary())
    table = pa.table(columns | {"signature.perceptual_duplicates": signatures})
    rulings = rule.judge_run(RunView(table, np.ones(len(samples), bool) if alive is None else np.array(alive)))
    assert {ruling.reason for ruling in rulings.values()} <= {"perceptual_duplicate"}
    return {samples[row].key: ruling.duplicate_of for row, ruling in rulings.items()}


def test_copies_are_left_out_and_other_pictures_are_not():
    samples = []
    for name in ("swans", "dahlia", "osprey"):
        image = photo(name)
        small = image.resize((image.width // 2, image.height // 2))
        samples += [sample(f"{name}_1", image), Sample(f"{name}_2", images={"image": encoded(small, "JPEG", 60)})]
    expected = {f"{name}_2": f"{name}_1" for name in ("swans", "dahlia", "osprey")}
    assert left_out(samples) == expected
    shuffled = random.Random(0).sample(samples, len(samples))
    assert left_out(shuffled) == expected


def test_mirror_images_are_copies_only_where_the_recipe_says_so():
    samples = [sample("a", photo("swans")), sample("b", ImageOps.mirror(photo("swans"))), sample("c", photo("dahlia"))]
    assert left_out(samples) == {}
    assert left_out(samples, mirrored=True) == {"b": "a"}


def test_a_symmetric_picture_is_no_copy_of_itself():
    image = photo("swans")
    image.paste(ImageOps.mirror(image.crop((0, 0, image.width // 2, image.height))), (image.width - image.width // 2, 0))
    assert left_out([sample("a", image)], mirrored=True) == {}


def test_blank_pictures_do_not_take_each_other_out():
    blank = [sample(f"{value}", Image.new("RGB", (90, 60), (value,) * 3)) for value in (0, 90, 180, 255)]
    assert left_out(blank) == {} and PerceptualDuplicates().signature(blank[0]) is None


def test_every_picture_of_a_sample_counts():
    swans, dahlia, osprey = (photo(name) for name in ("swans", "dahlia", "osprey"))
    same_source = [sample("a", swans, dahlia), sample("b", swans, osprey), sample("c", swans), sample("d", swans, dahlia)]
    assert left_out(same_source) == {"d": "a"}
    assert left_out([sample("a", swans, Image.new("RGB", (60, 60)))] * 2) == {}  # a blank edit: there is nothing to compare


def test_another_question_or_caption_is_another_sample():
    asked = [sample(word, photo("swans"), turns=(Turn("user", (word,)), Turn("assistant", ("two",)))) for word in ("how many?", "what?")]
    assert left_out(asked) == {}
    captioned = [sample("a", photo("swans"), caption="swans"), sample("b", photo("swans"), caption="birds")]
    assert left_out(captioned) == {"b": "a"} and left_out(captioned, include_caption=True) == {}


def test_the_bound_can_be_moved_and_what_was_left_out_before_takes_no_sample_with_it():
    image = photo("swans")
    cropped = image.crop((image.width // 20, image.height // 20, image.width, image.height))
    samples = [sample("a", image), sample("b", image), sample("c", cropped)]
    assert left_out(samples, max_distance=0) == {"b": "a"} and left_out(samples, max_distance=12) == {"b": "a", "c": "a"}
    assert left_out(samples, alive=[False, True, True], max_distance=12) == {"c": "b"}
    assert left_out(samples, alive=[False, False, True], max_distance=12) == {}


def test_chains_can_be_forbidden():
    """Three hashes, each three bits from the next."""
    rule, columns = PerceptualDuplicates(chained=False), {"key": ["a", "b", "c"]}
    signatures = [bytes(8) + bytes([bits, *[85] * 7]) + bytes(8) for bits in (0b0, 0b111, 0b111111)]
    table = pa.table(columns | {"signature.perceptual_duplicates": pa.array(signatures, pa.binary())})
    view = RunView(table, np.ones(3, bool))
    assert {row: ruling.duplicate_of for row, ruling in rule.judge_run(view).items()} == {1: "a"}
    assert {row: r.duplicate_of for row, r in PerceptualDuplicates().judge_run(view).items()} == {1: "a", 2: "a"}


def test_a_picture_that_cannot_be_decoded_fails_its_sample():
    broken = Sample("x", images={"image": (PHOTOS / "swans.jpg").read_bytes()[:3000]})
    with pytest.raises(SampleError, match="x: broken_image"):
        PerceptualDuplicates().measure([broken])


def test_a_missing_library_is_the_recipe_s_fault(monkeypatch):
    PerceptualDuplicates().check()
    monkeypatch.setattr("filters.libraries.find_spec", lambda module: None)
    with pytest.raises(RecipeError, match="imagehash is not installed"):
        PerceptualDuplicates().check()
