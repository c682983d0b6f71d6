"""Training: the loss goes down, and a resumed run is the undisturbed one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jobs.lm.checkpoint import find_checkpoints
from jobs.lm.folder import save_folder
from jobs.lm.options import TrainOptions
from jobs.lm.train_data import open_data
from jobs.lm.train_log import LOG, read_log
from jobs.lm.trainer import Trainer, describe, learning_rate, load_trainer, make_optimizer
from pipeline.errors import MgptError, RecipeError, ResumeError
from tests.jobs.lm.tiny import OPTIONS, mixed_sequences, text_to_image_sequences, tiny_model, write_mixed
from tests.token_output import TEXT_TOKENIZER_PATH, write_output

TIMED = ("tokens_per_second", "images_per_second", "data_wait", "memory_bytes")


def begin(output: Path, options: TrainOptions = OPTIONS, seed: int = 7, folder: str = "train") -> Trainer:
    data = open_data(str(output), options, seed)
    return load_trainer(data, options, seed=seed, folder=output / folder, max_tokens=512)


def train(output: Path, options: TrainOptions = OPTIONS, seed: int = 7, folder: str = "train") -> list[dict]:
    trainer = begin(output, options, seed, folder)
    trainer.run()
    return [{name: value for name, value in line.items() if name not in TIMED} for line in read_log(output / folder / LOG)]


def test_a_hundred_steps_on_four_sequences_lower_the_loss_clearly(tmp_path):
    write_output(tmp_path, text_to_image_sequences(4))
    log = train(tmp_path, replace(OPTIONS, steps=100, batch_size=4, learning_rate=1e-2, checkpoint_every=100))
    assert log[0]["loss"] > 9.5
    assert log[-1]["loss"] < 3


def test_training_restricted_to_image_ids_lowers_the_loss_too(tmp_path):
    write_output(tmp_path, text_to_image_sequences(4))
    options = replace(OPTIONS, steps=60, batch_size=4, learning_rate=1e-2, checkpoint_every=100, restrict_image_logits=True)
    log = train(tmp_path, options)
    assert log[-1]["loss"] < log[0]["loss"] - 3


def test_a_resumed_run_continues_bit_for_bit(tmp_path):
    output = write_mixed(tmp_path)
    options = replace(OPTIONS, steps=8, checkpoint_every=2, keep=9, dropout=0.1, held_out_fraction=0.2, eval_every=3)
    undisturbed = train(output, options)
    assert [line["step"] for line in undisturbed if "loss" in line] == list(range(1, 9))
    shutil.copytree(output / "train", output / "killed")
    for step in (6, 8):
        shutil.rmtree(output / "killed" / f"step-{step:06d}")
    assert begin(output, options, folder="killed").step == 4
    assert train(output, options, folder="killed") == undisturbed
    for name in ("model.safetensors", "optimizer.safetensors"):
        ends = [load_file(output / folder / "step-000008" / name) for folder in ("train", "killed")]
        assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0].keys() | ends[1].keys())


def test_another_seed_is_another_run(tmp_path):
    output = write_mixed(tmp_path)
    assert train(output, seed=1, folder="one") != train(output, seed=2, folder="two")


def test_more_steps_may_be_asked_for_and_nothing_else_may_change(tmp_path):
    output = write_mixed(tmp_path)
    train(output)
    assert begin(output, replace(OPTIONS, steps=9, log_every=3, keep=1)).step == 6
    with pytest.raises(ResumeError, match=r"train\.learning_rate was 0\.001, now it is 0\.002"):
        begin(output, replace(OPTIONS, learning_rate=0.002))
    with pytest.raises(ResumeError, match="seed was 7, now it is 8"):
        begin(output, seed=8)
    write_mixed(tmp_path, count=8)
    with pytest.raises(ResumeError, match="token shards was"):
        begin(output)


def test_shards_with_another_vocabulary_are_refused(tmp_path):
    output = write_mixed(tmp_path / "output")
    tokenizer = json.loads(Path(TEXT_TOKENIZER_PATH).read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["IMGIMGBZ"], vocabulary["IMGIMGCZ"] = vocabulary["IMGIMGCZ"], vocabulary["IMGIMGBZ"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(tokenizer))
    train(output)
    changed = tmp_path / "changed"
    write_output(changed, text_to_image_sequences(4), str(other))
    with pytest.raises(RecipeError, match=r"another vocabulary: IMGIMG[BC]Z is id"):
        begin(changed, replace(OPTIONS, init=str(output / "train" / "step-000006")))
    shutil.copytree(output / "train", changed / "moved")
    with pytest.raises(ResumeError, match=r"(token shards|vocabulary) was"):
        begin(changed, folder="moved")


def test_a_training_can_start_from_a_model_folder(tmp_path):
    output = write_mixed(tmp_path)
    (tmp_path / "init").mkdir()
    start = tiny_model(seed=5, max_tokens=40, swin_norm=True)
    save_folder(tmp_path / "init", start, {}, Path(TEXT_TOKENIZER_PATH).read_bytes())
    trainer = begin(output, replace(OPTIONS, init=str(tmp_path / "init")))
    assert trainer.step == 0
    assert trainer.model.config.swin_norm
    assert trainer.model.config.max_position_embeddings == trainer.data.plan.window > 40
    assert all(torch.equal(a, b) for a, b in zip(trainer.model.parameters(), start.parameters(), strict=True))


def test_only_the_newest_checkpoints_stay_and_what_a_kill_left_goes(tmp_path):
    output = write_mixed(tmp_path)
    (output / "train" / "writing-step-000003").mkdir(parents=True)
    (output / "train" / "writing-step-000003" / "config.json").write_text("{}")
    train(output, replace(OPTIONS, checkpoint_every=1, keep=2))
    assert [path.name for path in find_checkpoints(output / "train")] == ["step-000005", "step-000006"]
    assert sorted(path.name for path in (output / "train").iterdir()) == ["log.jsonl", "step-000005", "step-000006"]


def test_a_folder_without_its_mark_is_no_checkpoint(tmp_path):
    output = write_mixed(tmp_path)
    train(output)
    (output / "train" / "step-000006" / "trainer.json").unlink()
    assert [path.name for path in find_checkpoints(output / "train")] == ["step-000003"]
    assert train(output)[-1]["step"] == 6
    assert [path.name for path in find_checkpoints(output / "train")] == ["step-000003", "step-000006"]


def test_the_log_says_what_a_step_was(tmp_path):
    output = write_mixed(tmp_path)
    first, *_, last = train(output, replace(OPTIONS, held_out_fraction=0.3, eval_every=6))
    assert first["learning_rate"] == OPTIONS.learning_rate / 2
    assert first["loss"] == pytest.approx(first["cross_entropy"] + first["z_loss"])
    assert set(first["loss_by_task"]) <= {"text_to_image", "text_only", "depth"}
    assert first["grad_norm"] > 0
    window = max(len(sequence.input_ids) for sequence in mixed_sequences())
    assert first["tokens"] / (2 * window) == pytest.approx(1 - first["padding"])
    assert last["held_out_loss"] == pytest.approx(9.9, abs=1.0)


def test_the_held_out_loss_is_the_mean_over_its_tokens_and_changes_nothing(tmp_path):
    output = write_mixed(tmp_path)
    trainer = begin(output, replace(OPTIONS, held_out_fraction=0.3))
    once = trainer.held_out_loss()
    assert once == trainer.held_out_loss()
    by_task, counts = once["held_out_loss_by_task"], {}
    for number in trainer.data.held_out.tolist():
        sequence = trainer.data.shards.read(number)
        counts[sequence.task] = counts.get(sequence.task, 0) + sequence.num_loss_tokens
    assert once["held_out_loss"] == pytest.approx(sum(by_task[task] * n for task, n in counts.items()) / sum(counts.values()))


def test_a_loss_that_is_no_number_stops_the_run_before_it_is_saved(tmp_path):
    output = write_mixed(tmp_path)
    trainer = begin(output)
    with torch.no_grad():
        trainer.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(MgptError, match="the loss at step 1 is nan"):
        trainer.run()
    assert not find_checkpoints(output / "train")


def test_the_learning_rate_rises_then_falls_along_a_cosine():
    options = TrainOptions(learning_rate=1.0, warmup=4, steps=24, final_fraction=0.1)
    rates = [learning_rate(options, step) for step in range(25)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[14] == pytest.approx(0.55)
    assert rates[24] == pytest.approx(0.1)
    assert learning_rate(replace(options, schedule="constant"), 23) == 1.0


def test_weight_decay_pulls_at_the_matrices_of_the_layers_alone():
    model = tiny_model()
    optimizer = make_optimizer(model, OPTIONS)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed = {names[id(p)] for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    rest = {names[id(p)] for group in optimizer.param_groups if not group["weight_decay"] for p in group["params"]}
    assert decayed | rest == set(names.values())
    assert all("layers" in name and "proj" in name for name in decayed)
    assert len(decayed) == 2 * 7
    assert {"lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"} <= rest


def test_a_description_counts_without_allocating(tmp_path):
    output = write_mixed(tmp_path)
    words = describe(open_data(str(output), OPTIONS, 0), OPTIONS, max_tokens=512)
    assert f"{sum(p.numel() for p in tiny_model().parameters()):,} parameters" in words
    assert "6 of 2 windows" in words


def test_nothing_to_train_on_and_nothing_to_hold_out_are_refused(tmp_path):
    write_output(tmp_path / "empty", [])
    with pytest.raises(RecipeError, match="empty"):
        open_data(str(tmp_path / "empty"), OPTIONS, 0)
    write_output(tmp_path / "one", text_to_image_sequences(1))
    with pytest.raises(RecipeError, match="held_out_fraction"):
        open_data(str(tmp_path / "one"), replace(OPTIONS, held_out_fraction=0.001), 0)


def test_bfloat16_arithmetic_trains_float32_weights(tmp_path):
    output = write_mixed(tmp_path)
    log = train(output, replace(OPTIONS, dtype="bfloat16"))
    plain = train(output, folder="plain")
    assert log[0]["loss"] != plain[0]["loss"]
    assert log[-1]["loss"] == pytest.approx(plain[-1]["loss"], abs=0.1)
    weights = load_file(output / "train" / "step-000006" / "model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())
