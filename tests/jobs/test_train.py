"""`mgpt train` from the outside: what it says, what it refuses, and that a kill costs nothing."""

import json
import re
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jobs.__main__ import main
from tests.forked import Forked, fork_command
from tests.jobs.lm.tiny import text_to_image_sequences
from tests.jobs.recipes import GOLDEN_TOKENS
from tests.token_output import write_output

TRAIN = "hidden_size = 32\nnum_layers = 2\nnum_heads = 2\nbatch_size = 4\nlog_every = 1\nthreads = 1\nrestrict_image_logits = true\n"


def write_train_recipe(folder: Path, train: str, sample: str = "") -> tuple[Path, Path]:
    """A recipe that trains from what is prepared already."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    recipe.write_text(f'seed = 3\noutput = "{folder}/out"\n[tokens]\n{GOLDEN_TOKENS}\n[train]\n{TRAIN}{train}\n[sample]\n{sample}\n')
    return recipe, folder / "out"


def test_training_leaves_checkpoints_and_a_log_and_is_done_once(tmp_path, capsys):
    recipe, output = write_train_recipe(tmp_path, "steps = 4\ncheckpoint_every = 2")
    write_output(output, text_to_image_sequences(8))
    assert main(["train", str(recipe)]) == 0
    assert sorted(path.name for path in (output / "train").iterdir()) == ["log.jsonl", "step-000002", "step-000004"]
    log = (output / "train" / "log.jsonl").read_bytes()
    assert main(["train", str(recipe)]) == 0
    assert "already done, 4 steps" in capsys.readouterr().out
    assert (output / "train" / "log.jsonl").read_bytes() == log
    assert main(["train", str(recipe), "--set", "train.steps=6"]) == 0
    assert "going on from step 4" in capsys.readouterr().out


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(tmp_path, capsys):
    recipe, output = write_train_recipe(tmp_path, "steps = 4")
    assert main(["train", str(recipe), "--dry-run"]) == 0
    assert "not there yet" in capsys.readouterr().out
    write_output(output, text_to_image_sequences(8))
    assert main(["train", str(recipe), "--dry-run"]) == 0
    words = capsys.readouterr().out
    assert "windows     8 of 47 tokens an epoch" in words
    assert "steps       4 of 4 windows" in words
    assert not (output / "train").exists()


def test_what_cannot_be_trained_on_is_refused_before_any_work(tmp_path, capsys):
    recipe, output = write_train_recipe(tmp_path, "steps = 4")
    assert main(["train", str(recipe)]) == 2
    assert "no token shards here" in capsys.readouterr().err
    write_output(output, text_to_image_sequences(8))
    assert main(["train", str(recipe), "--set", "train.window=30"]) == 2
    assert "8 sequences are longer than 30 tokens" in capsys.readouterr().err
    assert main(["train", str(recipe), "--set", "train.learning_rte=1"]) == 2
    assert "did you mean 'learning_rate'" in capsys.readouterr().err
    assert main(["train", str(recipe), "--set", f"train.init={tmp_path}"]) == 2
    assert "no model folder" in capsys.readouterr().err
    assert not (output / "train").exists()


def test_a_plan_is_printed_for_several_windows_and_nothing_is_trained(tmp_path, capsys):
    recipe, output = write_train_recipe(tmp_path, "steps = 4\nwindow = 100")
    assert main(["train", str(recipe), "--plan"]) == 2
    write_output(output, text_to_image_sequences(8))
    capsys.readouterr()
    assert main(["train", str(recipe), "--plan"]) == 0
    words = capsys.readouterr().out
    assert "8 sequences, 376 tokens, the longest 47" in words
    assert re.search(r"^ +100 +4 +6\.0% +400 +1 +0\.0%  this recipe$", words, re.MULTILINE)
    assert re.search(r"^ +47 +8 ", words, re.MULTILINE)
    assert main(["train", str(recipe), "--plan", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [row["window"] for row in table["rows"]] == [47, 100, 4096, 8192, 12288, 16384, 24576, 32768]
    assert [row["window"] for row in table["rows"] if row["is_recipes"]] == [100]
    assert not (output / "train").exists()


def test_a_changed_option_on_the_same_output_is_refused_by_name(tmp_path, capsys):
    recipe, output = write_train_recipe(tmp_path, "steps = 2")
    write_output(output, text_to_image_sequences(8))
    assert main(["train", str(recipe)]) == 0
    assert main(["train", str(recipe), "--set", "train.batch_size=8"]) == 5
    assert "train.batch_size was 4, now it is 8" in capsys.readouterr().err


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path):
    ends = []
    for name in ("quiet", "killed"):
        recipe, output = write_train_recipe(tmp_path / name, "steps = 60\ncheckpoint_every = 5")
        write_output(output, text_to_image_sequences(8))
        if name == "killed":
            for step in (5, 15):
                process = start(recipe)
                process.wait_for((output / "train" / f"step-{step:06d}" / "trainer.json").exists)
                process.kill()
        assert main(["train", str(recipe)]) == 0
        last = output / "train" / "step-000060"
        ends.append(load_file(last / "model.safetensors") | load_file(last / "optimizer.safetensors"))
        assert not list((output / "train").glob("writing-*"))
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("signal_number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_says_so_and_can_be_completed(tmp_path, signal_number, code):
    recipe, output = write_train_recipe(tmp_path, "steps = 400\ncheckpoint_every = 3")
    write_output(output, text_to_image_sequences(8))
    process = start(recipe)
    process.wait_for((output / "train" / "step-000003" / "trainer.json").exists)
    process.signal(signal_number)
    assert process.finish()[0] == code
    assert not list((output / "train").glob("writing-*"))
    done = max(int(path.name[-6:]) for path in (output / "train").glob("step-*"))
    assert main(["train", str(recipe), "--set", f"train.steps={done + 1}"]) == 0


def start(recipe: Path) -> Forked:
    """`mgpt train` in a process of its own."""
    return fork_command(recipe.with_suffix(".words"), "train", str(recipe))
