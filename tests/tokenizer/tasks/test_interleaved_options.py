"""The options of interleaved prompts: both sides of each bound, and a recipe that sets them."""

import pytest

from pipeline.config import build_kind
from pipeline.errors import RecipeError
from tokenizer.tasks import TASKS
from tokenizer.tasks.interleaved import Interleaved
from tokenizer.tasks.wording import check_wordings


@pytest.mark.parametrize(
    "name",
    [
        *("min_confidence", "max_crop_share", "min_visible", "max_overlap", "head_fraction", "augment_fraction", "min_kept_side"),
        "extra_map_fraction",
    ],
)
def test_fractions_lie_between_0_and_1(name):
    Interleaved(**{name: 1.0})
    Interleaved(**{name: 0.001})
    for value in (1.001, -0.001, float("nan")):
        with pytest.raises(ValueError, match=name):
            Interleaved(**{name: value})


@pytest.mark.parametrize(
    "good, bad",
    [
        ({"max_crops": 1}, {"max_crops": 0}),
        ({"min_crop_side": 1}, {"min_crop_side": 0}),
        ({"min_head_side": 1}, {"min_head_side": 0}),
        ({"crop_target_size": 32}, {"crop_target_size": 33}),
        ({"crop_target_size": 0}, {"crop_target_size": -32}),
        ({"map_target_size": 0}, {"map_target_size": 100}),
        ({"head_margin": 0.0}, {"head_margin": -0.1}),
        ({"head_margin": 9.0}, {"head_margin": float("inf")}),
        ({"min_kept_side": 0.1}, {"min_kept_side": 0.0}),
        ({"noise_std": (5.0, 5.0)}, {"noise_std": (5.0, 4.9)}),
        ({"noise_std": (0.0, 255.0)}, {"noise_std": (-1.0, 255.0)}),
        ({"changes": (), "augment_fraction": 0.0}, {"changes": ()}),
        ({"extra_maps": (), "extra_map_fraction": 0.0}, {"extra_maps": ()}),
        ({"extra_maps": ("hed", "pose")}, {"extra_maps": ("mask",)}),
        ({"wordings": ("{width}: {prompt}",)}, {"wordings": ("{size}: {prompt}",)}),
        ({"wordings": ("{prompt}",)}, {"wordings": ("{width}",)}),
        ({"wordings": ("Draw {prompt}",)}, {"wordings": ("Draw {prompt} {prompt}",)}),
        ({"wordings": ("Draw {prompt}",)}, {"wordings": ("Draw {prompt!r}",)}),
        ({"wordings": ("Draw {prompt}",)}, {"wordings": ("Draw {prompt} <|image|>",)}),
        ({"wordings": ("Draw {prompt}",)}, {"wordings": ()}),
    ],
)
def test_options_that_make_no_sense_are_refused(good, bad):
    Interleaved(**good)
    with pytest.raises(ValueError, match=next(iter(bad))):
        Interleaved(**bad)


def test_a_recipe_can_set_the_options():
    table = {"kind": "interleaved", "changes": ["flip"], "noise_std": [1, 2], "max_crops": 2}
    assert build_kind(TASKS, table, "task[0]") == Interleaved(changes=("flip",), noise_std=(1.0, 2.0), max_crops=2)
    for wrong in ({"changes": ["blur"]}, {"head_fraction": 1.5}, {"max_crop": 2}):
        with pytest.raises(RecipeError):
            build_kind(TASKS, {"kind": "interleaved"} | wrong, "task[0]")


@pytest.mark.parametrize("wording, fits", [("{a}", True), ("{a} {b}", True), ("{b}", False), ("{a} {c}", False), ("", False)])
def test_optional_fields_may_stand_in_a_wording_and_the_others_have_to(wording, fits):
    if fits:
        check_wordings("words", (wording,), ("a",), optional=("b",))
    else:
        with pytest.raises(ValueError, match=r"words: wants \{a\}, perhaps \{b\}, got"):
            check_wordings("words", (wording,), ("a",), optional=("b",))
