"""Stages of one recipe: laid over it, one after the other, each from the model before."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from jobs.__main__ import main
from jobs.stages import build_stages, choose_stages
from pipeline.errors import RecipeError
from tests.jobs.recipes import ROOT, write_recipe

STAGES = """
[[filter]]
kind = "image_size"
[train]
steps = 3
hidden_size = 32
num_layers = 1
num_heads = 2
batch_size = 4
checkpoint_every = 1
log_every = 1
threads = 1
[sample]
prompts = ["a red circle"]
size = "64x64"
[[stage]]
name = "small"
[[stage]]
name = "large"
seed = 4
filter = []
tokens = { target_size = 96 }
train = { steps = 2, learning_rate = 1e-4 }
sample = { size = "96x96" }
"""
SOURCE = 'kind = "shapes"\ncount = 8\nsizes = ["96x96"]'
TABLES = {"output": "out", "tokens": {"target_size": 64}, "filter": [{"kind": "image_size"}], "train": {"steps": 9, "warmup": 1}}


def stages_of(*stages: dict, **more: object):
    return build_stages(TABLES | {"stage": list(stages)} | more)


def test_a_recipe_without_stages_is_one_without_a_name():
    [stage] = build_stages(TABLES)
    assert (stage.name, stage.recipe.output) == ("", "out")
    assert choose_stages((stage,), None) == (stage,)


def test_a_stage_lies_over_the_recipe():
    first, second = stages_of(
        {"name": "512", "tokens": {"target_size": 96}},
        {"name": "768", "seed": 5, "filter": [], "train": {"steps": 3}},
        train={"steps": 9, "warmup": 1, "init": "model"},
    )
    assert (first.recipe.output, second.recipe.output) == ("out/512", "out/768")
    assert (first.recipe.tokens.target_size, second.recipe.tokens.target_size) == (96, 64)
    assert (first.recipe.seed, second.recipe.seed) == (0, 5)
    assert ([name for name, _ in first.recipe.filters], second.recipe.filters) == (["image_size"], ())
    assert (second.recipe.train.steps, second.recipe.train.warmup) == (3, 1)
    assert (first.recipe.train.init, Path(second.recipe.train.init)) == ("model", Path("out/512/train").resolve())
    assert "stage" not in second.recipe.tables
    assert choose_stages((first, second), "768") == (second,)


@pytest.mark.parametrize(
    "stages, message",
    [
        ([{"name": "a"}, {"name": "b", "train": {"init": "x"}}], "stage b: train.init: stage a comes before"),
        ([{"name": "a", "output": "x"}], "stage a: output"),
        ([{"name": "a"}, {"name": "a"}], r"stage\[1\]\.name: 'a' is taken by stage\[0\]"),
        ([{"name": "train"}], r"stage\[0\]\.name: 'train'"),
        ([{"name": "../a"}], r"stage\[0\]\.name"),
        ([{}], r"stage\[0\]\.name"),
        ([{"name": "a", "tokns": {}}], "stage a: recipe: unknown key 'tokns'; did you mean 'tokens'"),
        ([{"name": "a", "train": {"stps": 1}}], "stage a: train: unknown key 'stps'"),
        ([{"name": "a"}, {"name": "b", "train": 3}], r"stage b: recipe\.train: wants table, got 3"),
        ([], "one or more tables"),
    ],
)
def test_what_is_wrong_with_stages_is_refused_by_name(stages, message):
    with pytest.raises(RecipeError, match=message):
        stages_of(*stages)


def test_no_stage_of_that_name_is_refused():
    with pytest.raises(RecipeError, match="--stage c: the recipe's stages are: a, b"):
        choose_stages(stages_of({"name": "a"}, {"name": "b"}), "c")
    with pytest.raises(RecipeError, match="--stage c: the recipe's stages are: none"):
        choose_stages(build_stages(TABLES), "c")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Both stages, from nothing to pictures."""
    recipe, output = write_recipe(tmp_path_factory.mktemp("stages"), SOURCE, rest=STAGES)
    assert main(["run", str(recipe)]) == 0
    return recipe, output


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / "train" / f"step-{step:06d}" / "model.safetensors")


def test_a_run_goes_through_all_stages(done, capsys):
    recipe, output = done
    assert sorted(path.name for path in output.iterdir()) == ["large", "small"]
    for stage, last in (("small", "step-000003"), ("large", "step-000002")):
        assert (output / stage / "train" / last).is_dir()
        assert (output / stage / "samples" / "0000.png").is_file()
        assert (output / stage / "report.html").is_file()
    assert main(["run", str(recipe)]) == 0
    words = capsys.readouterr().out
    assert words.index("stage small") < words.index("3 steps") < words.index("stage large") < words.index("2 steps")
    assert words.count("already done") == 6


def test_a_stage_begins_with_the_weights_of_the_one_before(done):
    output = done[1]
    one, other = weights(output / "small", 3), weights(output / "large", 1)
    assert all((one[name] - other[name]).abs().max() < 1e-4 for name in one), "the first step of a warm-up"


def test_a_stage_killed_in_the_middle_goes_on_bit_for_bit(done):
    recipe, output = done
    before = weights(output / "large", 2)
    for path in ("train/step-000002", "samples"):
        shutil.rmtree(output / "large" / path)
    assert main(["train", str(recipe), "--stage", "large"]) == 0
    after = weights(output / "large", 2)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not (output / "large" / "samples").exists()


def test_a_stage_depends_on_the_content_of_the_checkpoint_before(done, capsys):
    recipe, output = done
    moved = output.parent / "moved"
    shutil.copytree(output, moved)
    assert main(["train", str(recipe), "--set", f"output={moved}"]) == 0
    assert main(["train", str(recipe), "--set", f"output={moved}", "--set", "stage.small.train.steps=4"]) == 5
    assert "large/train/step-000002: train.init was" in capsys.readouterr().err


def test_a_stage_waits_for_the_one_before(tmp_path, capsys):
    recipe, _ = write_recipe(tmp_path, SOURCE, rest=STAGES)
    assert main(["run", str(recipe), "--dry-run", "--set", "stage.1.train.steps=5"]) == 0
    assert main(["train", str(recipe), "--stage", "large"]) == 2
    assert "stage large: stage small, which comes first, has done 0 of 3 steps" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_progressive_example_runs(tmp_path):
    small = {
        "seed": "1",
        "output": str(tmp_path),
        "source": '{kind="shapes", count=6, sizes=["128x128", "96x160"]}',
        "sample.prompts": "['a red circle']",
        "stage.1.train.steps": "1",
        "stage.2.train.steps": "1",
    }
    train = {"steps": 1, "num_layers": 1, "hidden_size": 32, "batch_size": 2, "held_out_fraction": 0.3, "grid_count": 1, "threads": 1}
    changes = [f"{key}={value}" for key, value in (small | {f"train.{name}": value for name, value in train.items()}).items()]
    assert main(["run", str(ROOT / "examples" / "fp_sft.toml"), *(part for change in changes for part in ("--set", change))]) == 0
    for name, side in (("64", 64), ("96", 96), ("128", 128)):
        with Image.open(tmp_path / name / "samples" / "0000.png") as picture:
            assert picture.size == (side, side)
        assert (tmp_path / name / "train" / "grids" / "step-000001.png").is_file()
