"""Training on several processes (gloo): the same as on one, and checkpoints that belong to no number of them."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jobs.lm.checkpoint import find_checkpoints
from jobs.lm.folder import save_folder
from jobs.lm.model import new_model
from jobs.lm.train_log import LOG, read_log
from tests.jobs.lm.processes import alone_environment, assert_same_run, launch, torchrun, write_recipe
from tests.jobs.lm.tiny import NAMES, OPTIONS, TEXT
from tests.token_output import TEXT_TOKENIZER_PATH


def train(folder: Path, options: str, processes: int) -> tuple[list[dict], Path]:
    """The log and the last checkpoint of a run."""
    code, words = launch(write_recipe(folder, options), processes).finish()
    assert code == 0, words
    return read_log(folder / "out" / "train" / LOG), find_checkpoints(folder / "out" / "train")[-1]


def test_three_processes_train_on_four_windows_a_step_as_one_does(tmp_path):
    options = "steps = 5\nbatch_size = 4\ndropout = 0.1\nheld_out_fraction = 0.3\neval_every = 2\ntask_weights = {depth = 3.0}\n"
    alone, alone_end = train(tmp_path / "one", options, 1)
    together, end = train(tmp_path / "many", options + "micro_batch = 1\n", 3)
    assert_same_run(alone, together)
    for name in ("model.safetensors", "optimizer.safetensors"):
        ends = [load_file(folder / name) for folder in (alone_end, end)]
        assert ends[0].keys() == ends[1].keys()
        assert all(torch.allclose(ends[0][key], ends[1][key], atol=1e-4) for key in ends[0])
    files = [sorted(path.name for path in folder.iterdir()) for folder in (alone_end, end)]
    assert files[0] == files[1]


def test_killed_on_one_process_and_resumed_on_two_a_run_sees_the_same_samples(tmp_path):
    """Resumed by torchrun, as people do it."""
    options = "steps = 40\nbatch_size = 3\ncheckpoint_every = 4\nrestrict_image_logits = true\n"
    undisturbed, _ = train(tmp_path / "quiet", options, 1)
    recipe = write_recipe(tmp_path / "killed", options)
    folder = tmp_path / "killed" / "out" / "train"
    killed = launch(recipe, 1)
    killed.wait_for((folder / "step-000008").exists)
    killed.kill()
    killed_at = max(json.loads((path / "trainer.json").read_bytes())["step"] for path in find_checkpoints(folder))
    assert killed_at < 40
    done = subprocess.run(torchrun(recipe, 2), env=alone_environment(), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert f"going on from step {killed_at}" in done.stdout
    resumed = read_log(folder / LOG)
    assert len({line["keys_digest"] for line in resumed}) > 20
    assert_same_run(undisturbed, resumed)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_is_read_by_rows_and_what_two_processes_write_one_reads(tmp_path, dtype):
    (tmp_path / "init").mkdir()
    vq = {"model.vqmodel.something": torch.arange(3.0)}
    model = new_model(replace(OPTIONS, swin_norm=True), TEXT.vocab, NAMES, max_tokens=512, seed=5)
    save_folder(tmp_path / "init", model, vq, Path(TEXT_TOKENIZER_PATH).read_bytes())
    tolerance = 1e-4 if dtype == "float32" else 0.1
    options = 'batch_size = 4\nlearning_rate = 1e-4\nschedule = "constant"\ncheckpoint_every = 3\n'
    options += f'init = "{tmp_path}/init"\ndtype = "{dtype}"\nsteps = '
    alone, _ = train(tmp_path / "one", options + "6", 1)
    train(tmp_path / "many", options + "3", 2)
    log, end = train(tmp_path / "many", options + "6", 1)
    assert [line["loss"] for line in log] == pytest.approx([line["loss"] for line in alone], abs=tolerance)
    weights = load_file(end / "model.safetensors")
    assert torch.equal(weights.pop("model.vqmodel.something"), torch.arange(3.0))
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())


def test_what_is_refused_on_one_process_is_refused_on_two(tmp_path):
    code, words = launch(write_recipe(tmp_path, "steps = 2\ntask_weights = {dept = 2.0}\n"), 2).finish()
    assert code == 2
    assert words.count("train.task_weights: 'dept' is no task of the token shards") == 2
