"""Captions that name nothing, and codes in the place of words."""

import json

import pytest

from filters.caption_content import CaptionContent
from pipeline.samples import Sample
from tests.filters.verdicts import judged
from tests.jobs.recipes import ROOT

CAPTIONS = json.loads((ROOT / "benchmarks" / "captions_by_language.json").read_text(encoding="utf-8"))


def judge(caption, **options):
    [verdict] = judged(CaptionContent(**options), [Sample("x", caption, {"image": b""})])
    return verdict


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("image", "caption_says_nothing"),
        ("Untitled-3 copy", "caption_says_nothing"),
        ("photo of", "caption_says_nothing"),
        ("click to enlarge the picture", "caption_says_nothing"),
        ("Bild ohne Titel", "caption_says_nothing"),
        ("图片", "caption_says_nothing"),
        ("", "caption_says_nothing"),
        ("photo of a cat", ""),
        ("stock photo: cat", ""),
        ("一只猫", ""),
        ("SKU 4471-BLK-XL", "caption_is_a_code"),
        ("ISBN 978-3-16-148410-0", "caption_is_a_code"),
        ("B07XJ8C8F5", "caption_is_a_code"),
        ("d41d8cd98f00b204e9800998ecf8427e", "caption_is_a_code"),
        ("Boeing 747-400 landing at dusk", ""),
        ("summer of 1969 in Woodstock", ""),
        ("a COVID-19 test on a table", ""),
    ],
)
def test_captions(caption, reason):
    assert judge(caption).reason == reason


@pytest.mark.parametrize("caption", [caption for captions in CAPTIONS.values() for caption in captions])
def test_prose_is_kept_in_any_language(caption):
    assert judge(caption).reason == ""


def test_the_scores_count():
    assert judge("photo of a black cat, 12345-A").scores == {"caption_content_words": 2.0, "caption_codes": 1 / 6}


def test_each_bound_is_an_option():
    assert judge("image", min_content_words=0).keep and not judge("black cat", min_content_words=3).keep
    assert judge("cat SKU-12345", max_codes=0.5).keep and not judge("cat SKU-12345", max_codes=0.49).keep
