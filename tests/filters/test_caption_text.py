"""Captions on both sides of each bound."""

import pytest

from filters.caption_text import CaptionText
from pipeline.samples import Sample, Turn
from tests.filters.verdicts import judged


def judge(caption, **options):
    [verdict] = judged(CaptionText(**options), [Sample("x", caption, {"image": b""})])
    return verdict


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("", "no_caption"),
        (" \n", "no_caption"),
        ("a b c", "caption_too_short"),
        ("a b cd", ""),
        ("a mat", "caption_too_short"),
        ("ginger cat", "caption_has_few_words"),
        ("a ginger cat", ""),
        ("self-portrait of Marie", ""),
        ("un café à Paris", ""),
        ("橙色的猫在垫子上", ""),
        ("猫がマットの上にいる", ""),
        ("橙色的猫", "caption_too_short"),
        ("see https://example.org/x for more", "caption_has_url"),
        ("buy it at www.shop.example today", "caption_has_url"),
        ("photos from flickr.com of a cat", "caption_has_url"),
        ("a cat. In front of it, a mat", ""),
        ("the picture IMG_2041 from my trip", "caption_has_file_name"),
        ("DSC01234 on the beach at noon", "caption_has_file_name"),
        ("sunset.jpg taken by my brother", "caption_has_file_name"),
        ("my holiday sunset-2.PNG on the beach", "caption_has_file_name"),
        ("a jpg of a cat", ""),
        ("an image of 2041 cats", ""),
        ("buy now buy now buy now", "caption_repeats_itself"),
        ("cat cat cat cat", "caption_repeats_itself"),
        ("a cat and a dog and a bird and a fish", ""),
    ],
)
def test_captions(caption, reason):
    verdict = judge(caption)
    assert (verdict.keep, verdict.reason) == (reason == "", reason)


@pytest.mark.parametrize(
    ("caption", "repetition", "keep"), [("a b a b c", 0.25, True), ("x y x y x", 0.5, False), ("one two three", 0.0, True)]
)
def test_repetition_is_the_share_of_pairs_that_were_there_before(caption, repetition, keep):
    verdict = judge(caption, min_chars=1)
    assert (verdict.scores["caption_repetition"], verdict.keep) == (repetition, keep)


def test_a_long_caption_may_repeat_its_articles():
    caption = "On the left of the picture the cat sits on the mat, on the right of the mat the dog lies in the shade of the tree."
    assert judge(caption).keep and judge(caption).scores["caption_repetition"] < 0.25


def test_scores_are_there_for_the_kept_and_the_dropped():
    clean = {"caption_repetition": 0.0, "caption_urls": 0.0, "caption_file_names": 0.0}
    assert judge("  a ginger cat ").scores == {"caption_chars": 12.0, "caption_words": 3.0} | clean
    assert judge("cat").scores == {"caption_chars": 3.0, "caption_words": 1.0} | clean
    assert judge("a.jpg and b.png on flickr.com").scores["caption_file_names"] == 2.0


def test_each_bound_is_an_option():
    assert judge("cat", min_chars=3, min_words=1).keep
    assert judge("see https://example.org/x now", allow_urls=True).keep
    assert judge("sunset.jpg by my brother", allow_file_names=True).keep
    assert judge("cat cat cat cat", max_repetition=0.7).keep


def test_dialogues_and_samples_without_a_picture_are_not_judged():
    turns = (Turn("user", ("Hi",)), Turn("assistant", ("Ho",)))
    for sample in (Sample("x"), Sample("x", turns=turns), Sample("x", images={"image": b""}, turns=turns)):
        [verdict] = judged(CaptionText(), [sample])
        assert verdict.keep and not verdict.scores
