"""Two processes (gloo) do all at once what one does: stages, rows of the head, LoRA, and grids of a divided model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jobs.__main__ import main
from jobs.lm.train_log import LOG, read_log
from tests.jobs.lm.processes import launch
from tests.jobs.lm.tiny import write_mixed
from tests.jobs.recipes import GOLDEN_TOKENS

STAGES = """
[train]
hidden_size = 32
num_layers = 2
num_heads = 2
batch_size = 3
warmup = 1
steps = 2
log_every = 1
threads = 1
restrict_image_logits = true
held_out_fraction = 0.3
eval_every = 2
grid_every = 2
grid_count = 2
[[stage]]
name = "full"
[[stage]]
name = "rows"
train = { mode = "head_rows", learning_rate = 1e-2 }
[[stage]]
name = "lora"
train = { mode = "lora", lora_dropout = 0.2, learning_rate = 1e-2, checkpoint_every = 1 }
"""


def write_recipe(folder: Path) -> Path:
    folder.mkdir()
    for stage in ("full", "rows", "lora"):
        write_mixed(folder / "out" / stage, 16)
    recipe = folder / "recipe.toml"
    recipe.write_text(f'seed = 3\noutput = "{folder}/out"\n[tokens]\n{GOLDEN_TOKENS}\n{STAGES}')
    return recipe


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Of one process, and of two."""
    folder = tmp_path_factory.mktemp("parallel")
    assert main(["train", str(write_recipe(folder / "one"))]) == 0
    code, words = launch(write_recipe(folder / "two"), 2).finish()
    assert code == 0, words
    return folder / "one" / "out", folder / "two" / "out"


@pytest.mark.parametrize("stage", ["full", "rows", "lora"])
def test_two_processes_end_where_one_does(outputs, stage):
    logs = [read_log(output / stage / "train" / LOG) for output in outputs]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]] == [1, 2, 2]
    for one, two in zip(*logs, strict=True):
        for name in one.keys() & {"loss", "grad_norm", "held_out_loss"}:
            assert two[name] == pytest.approx(one[name], abs=1e-4), name
    ends = [output / stage / "train" / "step-000002" for output in outputs]
    files = [sorted(str(path.relative_to(end)) for path in end.rglob("*")) for end in ends]
    assert files[0] == files[1]
    for file in (name for name in files[0] if name.endswith(".safetensors")):
        one, two = (load_file(end / file) for end in ends)
        assert one.keys() == two.keys()
        assert all(torch.allclose(one[name].float(), two[name].float(), atol=1e-3) for name in one), file
    assert [(output / stage / "train" / "grids" / "step-000002.png").is_file() for output in outputs] == [True, True]


def test_what_two_processes_leave_of_lora_one_goes_on_with(outputs):
    recipe = outputs[1].parent / "recipe.toml"
    assert main(["train", str(recipe), "--stage", "lora", "--set", "stage.lora.train.steps=3"]) == 0
    assert [line["step"] for line in read_log(outputs[1] / "lora" / "train" / LOG) if "loss" in line] == [1, 2, 3]
