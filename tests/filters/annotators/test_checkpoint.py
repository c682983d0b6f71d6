"""Weights by name or folder: what is missing is refused, unless nothing can depend on it."""

import json

import pytest
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModelForDepthEstimation,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
)

from filters.annotators.checkpoint import Checkpoint
from pipeline.errors import RecipeError
from tests.filters.annotators import tiny_map_models


@pytest.fixture
def dpt(tmp_path):
    return tiny_map_models.save_dpt(tmp_path / "dpt")


def checkpoint(folder):
    return Checkpoint("depth", str(folder), "", "float32", "cpu")


def without(folder, part):
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if part not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def test_weights_that_published_checkpoints_lack_and_nothing_uses_may_be_missing(dpt):
    without(dpt, "neck.fusion_stage.layers.0.residual_layer1")  # as in Intel/dpt-large
    network, _ = checkpoint(dpt).load(AutoModelForDepthEstimation, AutoImageProcessor)
    assert not network.training


def test_what_only_training_uses_may_be_missing(tmp_path):
    mask2former, segformer = tiny_map_models.save_mask2former(tmp_path / "mask2former"), tiny_map_models.save_segformer(tmp_path / "seg")
    without(mask2former, "criterion.empty_weight")
    without(segformer, "num_batches_tracked")
    checkpoint(mask2former).load(AutoModelForUniversalSegmentation, AutoImageProcessor)
    checkpoint(segformer).load(AutoModelForSemanticSegmentation, AutoImageProcessor)


def test_all_other_weights_may_not(dpt):
    without(dpt, "neck.fusion_stage.layers.1.residual_layer1")
    with pytest.raises(RecipeError, match=r"annotator depth: .* lacks weights, such as neck\.fusion_stage\.layers\.1\.residual_layer1"):
        checkpoint(dpt).load(AutoModelForDepthEstimation, AutoImageProcessor)


@pytest.mark.parametrize(
    "part, complaint", [("model.safetensors", "none of model.safetensors"), ("preprocessor_config.json", "processor_config")]
)
def test_a_folder_without_weights_or_processor_is_refused_before_any_work(dpt, part, complaint):
    checkpoint(dpt).check(("dpt",), "is none")
    (dpt / part).unlink()
    with pytest.raises(RecipeError, match=complaint):
        checkpoint(dpt).check(("dpt",), "is none")


def test_a_model_of_another_type_or_of_no_type_is_refused(dpt):
    with pytest.raises(RecipeError, match="is a dpt, which does not bark"):
        checkpoint(dpt).check(("dog",), "does not bark")
    (dpt / "config.json").write_text(json.dumps({"model_type": "nobody_knows"}))
    with pytest.raises(RecipeError, match="cannot be had"):
        checkpoint(dpt).check(("dpt",), "is none")
    with pytest.raises(RecipeError, match="cannot be had"):
        checkpoint(dpt.parent / "nowhere").check(("dpt",), "is none")
