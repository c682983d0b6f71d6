"""Text on pictures is found and read, photographs have none, and a caption that quotes it keeps it."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from filters.ocr import Ocr, share_quoted
from pipeline.errors import RecipeError, SampleError
from pipeline.images import decode_rgb, read_header
from pipeline.samples import Sample, Turn
from tests.filters.verdicts import judged

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
LINES = ("Samples come in by a source", "and pass filters, tasks turn", "them into conversations, and", "an encoder makes them tokens.")


def encoded(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def sample(*pictures, caption="", **others):
    roles = ["image"] if len(pictures) == 1 else [f"image_{number}" for number in range(1, len(pictures) + 1)]
    images = {role: picture if isinstance(picture, bytes) else encoded(picture) for role, picture in zip(roles, pictures, strict=True)}
    return Sample("x", caption, images, {role: read_header(data) for role, data in images.items()}, **others)


def photo(name):
    return (PHOTOS / f"{name}.jpg").read_bytes()


def page(size, width=640, height=480):
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).multiline_text((20, 20), "\n".join(LINES), fill="black", font=ImageFont.load_default(size), spacing=size // 2)
    return image


def sign(text, size=40):
    """A photograph with a few words on it."""
    image = decode_rgb(photo("mountain-lake"))
    ImageDraw.Draw(image).text((50, 50), text, fill="white", font=ImageFont.load_default(size))
    return image


def scores(*pictures, longest_side=960, **others):
    return Ocr(longest_side=longest_side).measure([sample(*pictures, **others)])[0].scores


@pytest.mark.parametrize("name", ["mountain-lake", "orange-dune", "espresso", "wall-clock", "horse", "earth-over-moon"])
def test_there_are_no_words_on_a_photograph_not_even_where_something_is_round(name):
    assert scores(photo(name)) == {"ocr_area": 0.0, "ocr_words": 0.0}


@pytest.mark.parametrize("size", [12, 16, 24, 32])
def test_a_page_is_read_in_any_size(size):
    found = scores(page(size))
    assert 19 <= found["ocr_words"] <= 21 and found["ocr_quoted"] == 0.0
    assert judged(Ocr(), [sample(page(size))])[0].reason in ("text_covers_picture", "too_many_words_on_picture")


def test_the_area_is_that_of_the_text():
    small, large = scores(page(12))["ocr_area"], scores(page(32))["ocr_area"]
    assert 0.03 < small < 0.10 < 0.15 < large < 0.5
    assert judged(Ocr(), [sample(page(12))])[0].reason == "too_many_words_on_picture"
    assert judged(Ocr(), [sample(page(32))])[0].reason == "text_covers_picture"


def test_a_few_words_on_a_photograph_are_read_and_may_stay():
    [verdict] = judged(Ocr(), [sample(sign("No parking here"))])
    assert verdict.keep and verdict.scores["ocr_words"] == 3.0 and 0.02 < verdict.scores["ocr_area"] < 0.1
    assert not judged(Ocr(max_words=2), [sample(sign("No parking here"))])[0].keep
    assert judged(Ocr(max_words=3), [sample(sign("No parking here"))])[0].keep


def test_a_caption_that_quotes_the_text_keeps_it():
    quoting = sample(page(24), caption="A page that says: samples come in by a source and pass filters, tasks turn them into conversations")
    silent = replace(quoting, caption="A page with black print on white")
    asked = replace(silent, turns=(Turn("user", ("What does it say?",)), Turn("assistant", (" ".join(LINES),))))
    assert [verdict.keep for verdict in judged(Ocr(), [quoting, silent, asked])] == [True, False, True]
    assert not judged(Ocr(keep_if_quoted=False), [quoting])[0].keep
    assert not judged(Ocr(min_quoted=0.99), [quoting])[0].keep


@pytest.mark.parametrize(
    ("words", "said", "share"),
    [
        (["SALE", "today"], "a sale", 0.5),
        (["SALETODAY"], "a sign: Sale today!", 1.0),
        (["Coca", "Cola"], "a bottle of Coca-Cola", 1.0),
        (["art"], "a party", 0.0),
        (["stop"], "a nonstop flight", 1.0),
        (["入", "口"], "標識「入口」", 1.0),
        (["open"], "", 0.0),
    ],
)
def test_what_counts_as_quoted(words, said, share):
    assert share_quoted(words, said) == share


def test_the_worst_of_several_pictures_decides():
    found = scores(photo("mountain-lake"), page(24), sign("Open"), caption="open")
    assert found == scores(page(24)) and not judged(Ocr(), [sample(photo("dahlia"), page(24))])[0].keep
    assert scores() == {}


def test_a_large_picture_is_read_in_the_size_that_the_recipe_says():
    large = page(24).resize((2560, 1920))
    assert 19 <= scores(large)["ocr_words"] <= 21
    assert scores(page(10, 1600, 1200), longest_side=200)["ocr_words"] < 10


def test_what_else_is_measured_changes_nothing():
    samples = [sample(sign("Open")), sample(page(16)), sample(photo("swans"))]
    together = Ocr().measure(samples)
    assert [Ocr().measure([each])[0] for each in samples[::-1]] == together[::-1]


def test_a_picture_that_cannot_be_decoded_fails_its_sample():
    with pytest.raises(SampleError, match="x: broken_image"):
        scores(photo("swans")[:9000])


def test_a_library_that_is_not_there_or_ships_no_models_is_the_recipe_s_fault(monkeypatch, tmp_path):
    Ocr().check()
    with monkeypatch.context() as patch:
        patch.setattr("filters.ocr._models_folder", lambda: tmp_path)
        with pytest.raises(RecipeError, match="does not ship PP-OCRv6_det_small"):
            Ocr().check()
    monkeypatch.setattr("filters.libraries.find_spec", lambda module: None)
    with pytest.raises(RecipeError, match=r"rapidocr is not installed; pip install \"mgpt\[ocr\]\""):
        Ocr().check()
