"""Detections in a run: made by any executor alike, kept in image shards, and shown before their words in interleaved prompts."""

import pytest

from jobs.__main__ import main
from pipeline.shards.reader import TokenShards
from pipeline.sources.webdataset_tars import WebDataset
from tests.filters.annotators import tiny_detectors
from tests.jobs.recipes import write_recipe

SCENES = 'kind = "shapes"\ncount = 12\nsizes = ["64x64", "96x64"]'
INTERLEAVED = """
[[task]]
kind = "interleaved"
min_crop_side = 4
min_confidence = 0.3
crop_target_size = 32
min_visible = 0.1
max_crop_share = 1.0
"""
DETECTORS = """
[run]
executor = "{run}"
unit_size = 5
[[annotator]]
kind = "detect"
model = "{grounding_dino}"
box_threshold = 0.15
text_threshold = 0.005
existing = "replace"
[[annotator]]
kind = "detect"
name = "heads"
model = "{owlv2}"
phrases = "none"
labels = ["head"]
existing = "add"
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("detectors")
    return {kind: getattr(tiny_detectors, f"save_{kind}")(root / kind) for kind in ("grounding_dino", "owlv2")}


def annotated(output):
    source = WebDataset(str(output / "images"))
    return [sample for unit in source.plan(1000) for sample in source.read(unit)]


@pytest.fixture(scope="module")
def detected(folders, tmp_path_factory):
    recipe, output = write_recipe(tmp_path_factory.mktemp("detected"), SCENES, rest=DETECTORS.format(run="inprocess", **folders))
    assert main(["annotate", str(recipe)]) == 0
    return output


def test_both_detectors_say_what_they_found(detected):
    samples = annotated(detected)
    phrases = [each for sample in samples for each in sample.detections]
    assert len(samples) == 12 and {each.phrase for each in phrases if each.span is None} == {"head"}
    assert sum(each.span is not None for each in phrases) > 12
    assert all(each.span is None or sample.caption[slice(*each.span)] == each.phrase for sample in samples for each in sample.detections)
    with_heads = [sample for sample in samples if any(each.span is None for each in sample.detections)]
    assert with_heads and all(sample.metadata["heads_model"].endswith("owlv2") for sample in with_heads)


def test_any_executor_finds_the_same(folders, detected, tmp_path, ray_cluster):
    recipe, output = write_recipe(tmp_path, SCENES, rest=DETECTORS.format(run="ray", **folders))
    assert main(["annotate", str(recipe)]) == 0
    assert annotated(output) == annotated(detected)


def test_what_was_found_is_shown_in_interleaved_prompts(detected, tmp_path):
    recipe, output = write_recipe(tmp_path, f'kind = "webdataset"\npath = "{detected}/images"', rest=INTERLEAVED)
    assert main(["prepare", str(recipe)]) == 0
    shards = TokenShards(str(output))
    sequences = [shards.read(number) for number in range(len(shards))]
    made = [sequence for sequence in sequences if sequence.task == "interleaved"]
    assert made and all(len(sequence.images) > 1 for sequence in made)
