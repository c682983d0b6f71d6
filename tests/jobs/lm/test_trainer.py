"""Training: the loss goes down, and a resumed run is the undisturbed one."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jobs.lm.checkpoint import find_checkpoints
from jobs.lm.describe import describe
from jobs.lm.folder import save_folder
from jobs.lm.options import TrainOptions
from jobs.lm.train_data import open_data
from jobs.lm.train_log import LOG, read_log
from jobs.lm.trainer import Trainer, learning_rate, load_trainer, make_optimizer
from pipeline.errors import MgptError, RecipeError, ResumeError
from tests.jobs.lm.tiny import OPTIONS, mixed_sequences, text_to_image_sequences, tiny_model, write_mixed
from tests.token_output import TEXT_TOKENIZER_PATH, write_output

TIMED = ("mfu", "tokens_per_second", "images_per_second", "data_wait", "memory_bytes")


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


def test_a_step_in_parts_is_the_step_in_one(tmp_path):
    output = write_mixed(tmp_path)
    options = replace(OPTIONS, batch_size=4, dropout=0.2)
    one = train(output, options)
    for micro_batch in (1, 3):
        parts = train(output, replace(options, micro_batch=micro_batch), folder=f"parts-{micro_batch}")
        assert [line["loss"] for line in parts] == pytest.approx([line["loss"] for line in one], abs=1e-4)
        assert [line["keys_digest"] for line in parts] == [line["keys_digest"] for line in one]


def test_activations_that_are_computed_again_change_nothing(tmp_path):
    output = write_mixed(tmp_path)
    options = replace(OPTIONS, dropout=0.2)
    kept = train(output, options)
    again = begin(output, replace(options, activation_checkpointing=True), folder="again")
    calls = []
    again.model.model.layers[0].mlp.register_forward_hook(lambda *_: calls.append(1))
    again.run()
    assert len(calls) == 2 * options.steps
    lines = [{name: value for name, value in line.items() if name not in TIMED} for line in read_log(output / "again" / LOG)]
    assert lines == kept


def test_compiled_layers_train_as_the_plain_ones(tmp_path, monkeypatch):
    """Traced and differentiated as a compiler sees them; kernels are not generated, which takes a minute on a CPU."""
    compiled_layers, plain_compile = [], torch.nn.Module.compile

    def trace(layer, *, dynamic):
        compiled_layers.append(layer)
        plain_compile(layer, backend="aot_eager", dynamic=dynamic)

    monkeypatch.setattr(torch.nn.Module, "compile", trace)
    output = write_mixed(tmp_path)
    plain = train(output, replace(OPTIONS, steps=3))
    compiled = train(output, replace(OPTIONS, steps=3, compile=True), folder="compiled")
    assert len(compiled_layers) == OPTIONS.num_layers
    assert [line["loss"] for line in compiled] == pytest.approx([line["loss"] for line in plain], abs=1e-4)
    names = [load_file(output / folder / "step-000003" / "model.safetensors").keys() for folder in ("train", "compiled")]
    assert names[0] == names[1]


def test_the_log_says_how_fast_it_went_and_the_share_of_a_known_peak(tmp_path):
    output = write_mixed(tmp_path)
    trainer = begin(output, replace(OPTIONS, peak_tflops=0.001))
    trainer.run()
    model = trainer.model
    for line in read_log(output / "train" / LOG):
        assert line["tokens_per_second"] > 0
        assert 0 <= line["data_wait"] <= 1
        assert 50 << 20 < line["memory_bytes"] < 64 << 30
        least = 6 * sum(p.numel() for name, p in model.named_parameters() if name.endswith("proj.weight")) * line["tokens_per_second"] / 1e9
        assert least < line["mfu"] < 100 * least
    assert sum(line["images_per_second"] > 0 for line in read_log(output / "train" / LOG)) > 3
    train(output, folder="unknown")
    assert all("mfu" not in line for line in read_log(output / "unknown" / LOG))


def test_a_digest_names_the_samples_of_its_step(tmp_path):
    output = write_mixed(tmp_path)
    trainer = begin(output)
    trainer.run()
    for step, line in enumerate(read_log(output / "train" / LOG)):
        windows = [[trainer.data.shards.read(int(trainer.data.trained_on[n])).key for n in w] for _, w in trainer.data.plan.step(step)]
        digests = b"".join(hashlib.sha256("\0".join(keys).encode()).digest() for keys in windows)
        assert line["keys_digest"] == hashlib.sha256(digests).hexdigest()


def test_a_checkpoint_is_the_same_written_at_once_or_meanwhile(tmp_path):
    output = write_mixed(tmp_path)
    options = replace(OPTIONS, checkpoint_every=1, keep=9)
    train(output, options)
    train(output, replace(options, async_checkpoint=False), folder="at-once")
    for step in range(1, 7):
        for name in ("model.safetensors", "optimizer.safetensors", "config.json", "trainer.json"):
            files = [output / folder / f"step-{step:06d}" / name for folder in ("train", "at-once")]
            assert files[0].read_bytes() == files[1].read_bytes()


def test_an_error_of_the_writer_surfaces(tmp_path, monkeypatch):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jobs.lm.checkpoint.save_file", full_disk)
    output = write_mixed(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        train(output)
    assert not find_checkpoints(output / "train")
    assert [path.name for path in (output / "train").iterdir()] == ["log.jsonl"]


def test_a_weight_for_a_task_that_the_data_has_not_is_refused(tmp_path):
    output = write_mixed(tmp_path)
    with pytest.raises(RecipeError, match=r"task_weights: 'dept' is no task of the token shards, which have depth, "):
        begin(output, replace(OPTIONS, task_weights={"dept": 2.0}))


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
