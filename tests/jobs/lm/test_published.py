"""A folder that transformers saved loads, trains, is written, and is transformers' again: the way of the published checkpoints."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import ChameleonForConditionalGeneration

from jobs.lm.model import LanguageModel
from jobs.lm.train_data import open_data
from jobs.lm.trainer import load_trainer
from tests.jobs.lm.tiny import OPTIONS, TEXT, tiny_model, write_mixed

IDS = torch.randint(0, TEXT.vocab.size, (2, 20), generator=torch.Generator().manual_seed(0))
POSITIONS = torch.arange(20).expand(2, 20)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return write_mixed(tmp_path_factory.mktemp("published"))


def their_logits(model: ChameleonForConditionalGeneration) -> torch.Tensor:
    """Of all ids: their own forward hides those of images."""
    with torch.no_grad():
        return model.lm_head(model.model(IDS).last_hidden_state)


def our_logits(model: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return model.lm_head(model(IDS, POSITIONS))


@pytest.mark.parametrize("swin_norm, dtype, shards", [(False, "float32", 1), (True, "bfloat16", 3), (False, "float16", 3)])
def test_a_published_folder_loads_trains_and_is_exported(output, swin_norm, dtype, shards):
    folder = output / f"{dtype}-{shards}"
    generator = torch.Generator().manual_seed(1)
    made = ChameleonForConditionalGeneration(tiny_model(swin_norm=swin_norm).config)
    for name, parameter in made.named_parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 10 + name.endswith("norm.weight"))
    made.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size="20GB" if shards == 1 else "1MB")
    assert (folder / "model.safetensors.index.json").is_file() == (shards > 1)
    theirs = ChameleonForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    options = replace(OPTIONS, init=str(folder), steps=2)
    trainer = load_trainer(open_data(str(output), options, 7), options, seed=7, folder=output / f"train-{dtype}", max_tokens=512)
    model = trainer.model.eval()
    before = our_logits(model)
    assert torch.allclose(before, their_logits(theirs), atol=1e-4)
    trainer.run()
    after = our_logits(model.eval())
    assert (after - before).abs().max() > 0.01
    checkpoint = output / f"train-{dtype}" / "step-000002"
    exported = ChameleonForConditionalGeneration.from_pretrained(checkpoint).eval()
    assert exported.config.swin_norm is swin_norm
    assert torch.allclose(after, their_logits(exported), atol=1e-4)
    stored = load_file(checkpoint / "model.safetensors")
    kept = {name: value for name, value in made.state_dict().items() if "vqmodel" in name}
    assert len(kept) > 10 and all(torch.equal(stored[name], value) for name, value in kept.items())
