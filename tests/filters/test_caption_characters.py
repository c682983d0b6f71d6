"""What captions are made of, on both sides of each bound, in several scripts."""

import json

import pytest

from filters.caption_characters import CaptionCharacters
from pipeline.samples import Sample, Turn
from tests.filters.verdicts import judged
from tests.jobs.recipes import ROOT

CAPTIONS = json.loads((ROOT / "benchmarks" / "captions_by_language.json").read_text(encoding="utf-8"))
WRITTEN = [json.loads(line)["text"] for line in (ROOT / "examples/photos/metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def judge(caption, **options):
    [verdict] = judged(CaptionCharacters(**options), [Sample("x", caption, {"image": b""})])
    return verdict


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("a cat &amp; a dog", "caption_has_markup"),
        ("<b>a cat</b> on a mat", "caption_has_markup"),
        ('a cat alt="cat" on a mat', "caption_has_markup"),
        ("[url=x]a cat[/url] on a mat", "caption_has_markup"),
        ("a%20cat%20on%20a%20mat", "caption_has_markup"),
        ("{{caption}} a cat", "caption_has_markup"),
        ("a cat < a dog, Tom & Jerry [detail] 5 > 3", ""),
        ("caf\u00c3\u00a9 in Paris", "caption_is_mojibake"),
        ("it\u00e2\u20ac\u2122s a dog", "caption_is_mojibake"),
        ("a dog \ufffd in Paris", "caption_is_mojibake"),
        ("кот на окне".encode().decode("latin-1"), "caption_is_mojibake"),
        ("»Spaß« und “Größe” à la “café”…", ""),
        ("NIÑO EN LA PLAYA É À Ã “", "caption_is_in_capitals"),
        ("12 x 30 cm | 4471", "caption_has_few_letters"),
        ("*** >>> 50% *** <<<", "caption_has_few_letters"),
        ("the year 1969 in 12 photos", ""),
        ("SUMMER SALE NOW ON", "caption_is_in_capitals"),
        ("NASA engineers at work", ""),
        ("БОЛЬШАЯ РАСПРОДАЖА", "caption_is_in_capitals"),
        ("橙色的猫在垫子上", ""),
    ],
)
def test_captions(caption, reason):
    assert judge(caption).reason == reason


@pytest.mark.parametrize("caption", [*WRITTEN, *(caption for captions in CAPTIONS.values() for caption in captions)])
def test_prose_is_kept_in_any_language(caption):
    assert judge(caption).reason == ""


def test_the_shares_are_of_what_is_no_blank():
    scores = judge("Ab c 12 !").scores
    assert scores["caption_letters"] == scores["caption_digits"] + 1 / 6 == pytest.approx(3 / 6)
    assert scores["caption_signs"] == pytest.approx(1 / 6) and scores["caption_capitals"] == pytest.approx(1 / 3)
    assert judge("हिन्दी में").scores["caption_letters"] == 1.0


def test_each_bound_is_an_option():
    assert judge("12 x 30 cm | 4471", min_letters=0.1, max_digits=0.9).keep
    assert judge("abcdef 1234", min_letters=0.1).reason == "caption_has_many_digits"
    assert judge("abcdef !!!!", min_letters=0.1).reason == "caption_has_many_signs"
    assert judge("SUMMER SALE", max_capitals=1.0).keep
    assert judge("<b>a ginger cat</b> sat on the mat", allow_markup=True).keep
    assert judge("caf\u00c3\u00a9 in Paris", allow_mojibake=True).keep


def test_dialogues_and_samples_without_a_picture_are_not_judged():
    for sample in (Sample("x", "12"), Sample("x", "12", {"image": b""}, turns=(Turn("user", ("Hi",)),))):
        assert judged(CaptionCharacters(), [sample])[0].scores == {}
