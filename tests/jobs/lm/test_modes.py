"""What is trained, and what is not: rows of the head, and LoRA."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import ChameleonForConditionalGeneration

from jobs.lm.flops import work_of
from jobs.lm.folder import load_folder, save_folder
from jobs.lm.head_rows import head_rows_of
from jobs.lm.lora import adapters
from jobs.lm.loss import image_token_ids
from jobs.lm.options import TrainOptions
from jobs.lm.train_data import open_data
from jobs.lm.train_log import LOG, read_log
from jobs.lm.trainer import Trainer, load_trainer
from pipeline.errors import RecipeError, ResumeError
from tests.jobs.lm.tiny import NAMES, OPTIONS, TEXT, tiny_model, write_mixed
from tests.token_output import TEXT_TOKENIZER_PATH

VOCAB = TEXT.vocab
IMAGE_IDS = image_token_ids(VOCAB.codes, VOCAB.sizes, VOCAB.end_of_row, VOCAB.end_of_image)
LAST = "step-000004"
IDS = torch.randint(0, VOCAB.size, (2, 20), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Token shards, and a model folder to start from."""
    folder = write_mixed(tmp_path_factory.mktemp("modes"))
    (folder / "base").mkdir()
    save_folder(folder / "base", tiny_model(seed=5), {"model.vqmodel.x": torch.ones(2)}, Path(TEXT_TOKENIZER_PATH).read_bytes())
    return folder


def begin(output: Path, mode: str, folder: str, **options: object) -> Trainer:
    asked = replace(OPTIONS, steps=4, checkpoint_every=2, learning_rate=1e-2, mode=mode, init=str(output / "base"))
    asked = replace(asked, **options)
    return load_trainer(open_data(str(output), asked, 7), asked, seed=7, folder=output / folder, max_tokens=512)


def train(output: Path, mode: str, folder: str, **options: object) -> list[float]:
    begin(output, mode, folder, **options).run()
    return [line["loss"] for line in read_log(output / folder / LOG)]


@pytest.fixture(scope="module")
def trained(output):
    """Both modes, done; LoRA with its dropout."""
    train(output, "head_rows", "head_rows")
    train(output, "lora", "lora", lora_rank=4, lora_dropout=0.3)
    return output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_only_the_image_rows_of_the_head_change(trained):
    before, after = weights(trained / "base"), weights(trained / "head_rows" / LAST)
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["lm_head.weight"]
    changed = (before["lm_head.weight"] != after["lm_head.weight"]).any(1)
    assert set(changed.nonzero()[:, 0].tolist()) <= set(IMAGE_IDS.tolist())
    assert changed[IMAGE_IDS].float().mean() > 0.99
    moments = load_file(trained / "head_rows" / LAST / "optimizer.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in moments.items()}
    assert shapes == {f"{moment}.head_rows.weight": (len(IMAGE_IDS), 32) for moment in ("exp_avg", "exp_avg_sq")}


@pytest.mark.parametrize("restrict", [False, True])
def test_gradients_of_the_rows_are_those_of_the_whole_head(output, restrict):
    options = {"restrict_image_logits": restrict, "dropout": 0.0}
    full, rows = (begin(output, mode, f"gradient-{mode}", **options) for mode in ("full", "head_rows"))
    batch = full.data.maker().make(full.data.plan.step(0))
    for trainer in (full, rows):
        trainer._loss(batch, batch.weight).total.backward()
    of_rows = head_rows_of(rows.model)
    assert torch.allclose(of_rows.weight.grad, full.model.lm_head.weight.grad[IMAGE_IDS], atol=1e-6)
    assert of_rows.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for name, parameter in rows.model.named_parameters() if name != "head_rows.weight")


@pytest.mark.parametrize("mode, options", [("head_rows", {}), ("lora", {"lora_rank": 4, "lora_dropout": 0.3}), ("full", {})])
def test_a_resumed_run_of_each_mode_continues_bit_for_bit(trained, mode, options):
    if mode == "full":
        train(trained, "full", "full")
    shutil.copytree(trained / mode, trained / f"{mode}-killed")
    shutil.rmtree(trained / f"{mode}-killed" / LAST)
    assert begin(trained, mode, f"{mode}-killed", **options).step == 2
    train(trained, mode, f"{mode}-killed", **options)
    files = sorted(path.relative_to(trained / mode) for path in (trained / mode / LAST).rglob("*") if path.is_file())
    assert len(files) == {"full": 5, "head_rows": 6, "lora": 7}[mode]
    for file in files:
        assert (trained / mode / file).read_bytes() == (trained / f"{mode}-killed" / file).read_bytes(), file


def test_a_lora_checkpoint_is_a_model_and_an_adapter_that_peft_loads(trained):
    checkpoint = trained / "lora" / LAST
    before, after = weights(trained / "base"), weights(checkpoint)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) != name.endswith("proj.weight") for name in before)
    base = ChameleonForConditionalGeneration.from_pretrained(trained / "base").eval()
    with torch.no_grad():
        plain = base(IDS).logits
        with_adapter = PeftModel.from_pretrained(base, checkpoint / "adapter").eval()(IDS).logits
        alone = ChameleonForConditionalGeneration.from_pretrained(checkpoint).eval()(IDS).logits
    assert torch.allclose(with_adapter, alone, atol=1e-5)
    assert (with_adapter - plain).abs().max() > 0.01


def test_what_lora_computes_while_it_trains_is_what_it_saves(trained):
    trainer = begin(trained, "lora", "lora", lora_rank=4, lora_dropout=0.3)
    saved = load_folder(str(trained / "lora" / LAST), VOCAB, NAMES).model.eval()
    positions = torch.arange(20).expand(2, 20)
    with torch.no_grad():
        assert torch.allclose(trainer.model.eval()(IDS, positions), saved(IDS, positions), atol=1e-5)


def test_a_lora_run_begins_as_its_base_and_learns(output):
    losses = train(output, "lora", "learns", steps=12, checkpoint_every=99, context_drop=0.0)
    full = train(output, "full", "as-full", steps=1, context_drop=0.0)
    assert losses[0] == pytest.approx(full[0], abs=1e-5)
    assert min(losses[-3:]) < losses[0] - 0.5


def test_micro_batches_and_recomputed_activations_change_nothing_for_lora(output):
    options = {"lora_dropout": 0.3, "dropout": 0.1, "batch_size": 4, "steps": 3}
    one = train(output, "lora", "one", **options)
    parts = train(output, "lora", "parts", micro_batch=1, activation_checkpointing=True, **options)
    assert parts == pytest.approx(one, abs=1e-4)


@pytest.mark.parametrize("mode", ["head_rows", "lora"])
def test_frozen_weights_are_kept_in_the_number_type_of_the_arithmetic(output, mode):
    trainer = begin(output, mode, f"half-{mode}", dtype="bfloat16")
    trainer.run()
    for parameter in trainer.model.parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16)
    saved = weights(output / f"half-{mode}" / LAST)
    assert all(tensor.dtype == torch.bfloat16 for name, tensor in saved.items() if "vqmodel" not in name)
    assert begin(output, mode, f"half-{mode}", dtype="bfloat16").step == 4


def test_the_work_of_what_is_frozen_is_not_counted(output):
    works = {mode: work_of(begin(output, mode, f"work-{mode}").model, 100) for mode in ("full", "lora", "head_rows")}
    full = works["full"]
    assert [3 * works[mode].per_token / full.per_token for mode in works] == [3, 2, 1]
    assert [works[mode].per_pair / full.per_pair for mode in works] == [1, 1, 1 / 3]
    assert [3 * works[mode].per_loss_token / full.per_loss_token for mode in works] == [3, 2, 2]


def test_what_a_mode_cannot_do_is_refused(output, trained, monkeypatch):
    for mode in ("head_rows", "lora"):
        with pytest.raises(RecipeError, match=f'train.init: a model folder for train.mode = "{mode}"'):
            TrainOptions(mode=mode)
    tied = tiny_model(seed=5)
    tied.config.tie_word_embeddings = True
    (output / "tied").mkdir()
    save_folder(output / "tied", tied, {}, Path(TEXT_TOKENIZER_PATH).read_bytes())
    with pytest.raises(RecipeError, match="head_rows wants a head of its own"):
        begin(output, "head_rows", "none", init=str(output / "tied"))
    with pytest.raises(ResumeError, match=r"train\.lora_rank was 4, now it is 8"):
        begin(trained, "lora", "lora", lora_rank=8, lora_dropout=0.3)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r'pip install "mgpt\[lora\]"'):
        begin(output, "lora", "none")
    assert not (output / "none").exists()


def test_the_start_is_known_by_its_weights_not_by_its_path(trained, tmp_path):
    shutil.copytree(trained / "base", tmp_path / "moved")
    assert begin(trained, "head_rows", "head_rows", init=str(tmp_path / "moved")).step == 4
    assert begin(trained, "head_rows", "head_rows", init=str(tmp_path / "gone")).step == 4
    with pytest.raises(RecipeError, match="no model folder"):
        begin(trained, "lora", "elsewhere", init=str(tmp_path / "gone"))
    with pytest.raises(ResumeError, match=r"train\.init was"):
        begin(trained, "head_rows", "head_rows", init=str(trained / "lora"))


def test_a_training_starts_from_the_last_checkpoint_of_another(trained):
    trainer = begin(trained, "full", "from-lora", init=str(trained / "lora"))
    assert not adapters(trainer.model)
    saved = weights(trained / "lora" / LAST)
    assert all(torch.equal(parameter, saved[name]) for name, parameter in trainer.model.named_parameters())
