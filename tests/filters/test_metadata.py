"""Columns that came with the data: lists of values, ranges, opt-outs."""

import pytest

from filters.metadata import column, number
from filters.metadata_range import MetadataRange
from filters.metadata_values import MetadataValues
from filters.robots import Robots
from pipeline.samples import Sample
from tests.filters.verdicts import judged


def verdict(rule, **metadata):
    [found] = judged(rule, [Sample("x", metadata=metadata)])
    return found


def test_names_are_compared_without_case_and_an_exact_one_comes_first():
    assert column(Sample("x", metadata={"X-Robots-Tag": "a"}), "x_robots_tag") == "a"
    assert column(Sample("x", metadata={"NSFW": "a", "nsfw": "b"}), "nsfw") == "b"
    assert column(Sample("x", metadata={"license": " "}), "license") is None
    assert column(Sample("x", metadata={"license": float("nan")}), "license") is column(Sample("x"), "license") is None


@pytest.mark.parametrize(("value", "found"), [(0.5, 0.5), ("0.5", 0.5), (3, 3.0), (True, 1.0), ("much", None), ("nan", None), ([1], None)])
def test_numbers_may_be_written_as_text(value, found):
    assert number(Sample("x", metadata={"score": value}), "score") == found


@pytest.mark.parametrize(
    ("value", "options", "reason"),
    [
        ("CC0-1.0", {"keep": ("cc0-1.0", "CC-BY-4.0")}, ""),
        ("ARR", {"keep": ("cc0-1.0", "CC-BY-4.0")}, "metadata_value_not_allowed"),
        ("NSFW", {"drop": ("NSFW",)}, "metadata_value_not_allowed"),
        ("UNSURE", {"drop": ("NSFW",)}, ""),
        ("UNLIKELY", {"keep": ("UNLIKELY", "UNSURE"), "drop": ("unsure",)}, ""),
        ("UNSURE", {"keep": ("UNLIKELY", "UNSURE"), "drop": ("unsure",)}, "metadata_value_not_allowed"),
        (["cat", "dog"], {"drop": ("dog",)}, "metadata_value_not_allowed"),
        (["cat", "dog"], {"keep": ("dog",)}, ""),
        (7, {"keep": (7,)}, ""),
        (True, {"drop": (True,)}, "metadata_value_not_allowed"),
        (None, {"drop": ("x",)}, ""),
        (None, {"drop": ("x",), "missing": "drop"}, "metadata_value_missing"),
        ("", {"keep": ("x",), "missing": "drop"}, "metadata_value_missing"),
    ],
)
def test_values(value, options, reason):
    assert verdict(MetadataValues(column="LICENSE", **options), license=value).reason == reason


@pytest.mark.parametrize(
    ("value", "options", "reason"),
    [
        (0.5, {"max": 0.5}, ""),
        (0.51, {"max": 0.5}, "metadata_number_too_high"),
        ("0.51", {"max": 0.5}, "metadata_number_too_high"),
        (0.28, {"min": 0.28}, ""),
        (0.27, {"min": 0.28}, "metadata_number_too_low"),
        (None, {"min": 0.28}, ""),
        (None, {"min": 0.28, "missing": "drop"}, "metadata_number_missing"),
        ("low", {"min": 0.28, "missing": "drop"}, "metadata_number_missing"),
    ],
)
def test_ranges(value, options, reason):
    assert verdict(MetadataRange(column="similarity", **options), similarity=value).reason == reason


def test_the_scores_say_what_is_known():
    assert verdict(MetadataRange(column="a", max=1.0), a=0.25).scores == {"metadata_number_known": 1.0, "metadata_number": 0.25}
    assert verdict(MetadataRange(column="a", max=1.0)).scores == {"metadata_number_known": 0.0}
    assert verdict(MetadataValues(column="a", keep=("x",)), a="x").scores == {"metadata_value_known": 1.0, "metadata_value_allowed": 1.0}


def test_options_that_judge_nothing_are_refused():
    with pytest.raises(ValueError, match="`keep` or to `drop`"):
        MetadataValues(column="a")
    with pytest.raises(ValueError, match="`min`, `max` or both"):
        MetadataRange(column="a")
    with pytest.raises(ValueError, match="min is 2 and max is 1"):
        MetadataRange(column="a", min=2.0, max=1.0)


@pytest.mark.parametrize(
    ("header", "opt_outs"),
    [
        ("noai", 1),
        ("NoAI, noimageai", 2),
        ("noindex, nofollow", 0),
        ("somebot: noai", 0),
        ("somebot: noindex, noai", 0),
        ("ourbot: noindex, noai", 1),
        ("somebot: noai, ourbot: noimageai", 1),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST, noai", 1),
        (["noindex", "noimageai"], 1),
    ],
)
def test_robots_directives(header, opt_outs):
    found = verdict(Robots(user_agent="OurBot"), **{"X-Robots-Tag": header})
    assert found.scores == {"robots_opt_outs": opt_outs} and found.keep == (opt_outs == 0)


@pytest.mark.parametrize(("value", "keep"), [("1", False), (1, False), ("0", True), (0, True)])
def test_reserved_rights(value, keep):
    assert verdict(Robots(), tdm_reservation=value).keep == keep


def test_nothing_recorded_is_nothing_known():
    assert verdict(Robots(), **{"x-robots-tag": "", "url": "x"}).scores == {} and not verdict(Robots()).scores
    assert not verdict(Robots(directives=("noindex",)), x_robots_tag="noindex").keep
    assert not verdict(Robots(header_columns=("headers",)), headers="noai").keep
