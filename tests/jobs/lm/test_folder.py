"""Model folders: transformers reads ours, and we read theirs."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import ChameleonForConditionalGeneration

from jobs.lm.folder import load_folder, save_folder
from pipeline.errors import RecipeError
from tests.jobs.lm.tiny import NAMES, TEXT, tiny_model
from tests.token_output import TEXT_TOKENIZER_PATH

TOKENIZER = Path(TEXT_TOKENIZER_PATH).read_bytes()
IDS = torch.randint(0, TEXT.vocab.size, (2, 30), generator=torch.Generator().manual_seed(0))
POSITIONS = torch.arange(30).expand(2, 30)
NO_IMAGE_IDS = torch.from_numpy(TEXT.vocab.id_to_code < 0)


@pytest.mark.parametrize("swin_norm", [False, True])
def test_transformers_loads_our_folder_and_gives_equal_logits(tmp_path, swin_norm):
    model = tiny_model(swin_norm=swin_norm)
    save_folder(tmp_path, model, {}, TOKENIZER)
    theirs = ChameleonForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert theirs.config.swin_norm is swin_norm
    with torch.no_grad():
        logits = theirs(IDS).logits
        ours = model.lm_head(model(IDS, POSITIONS))
    assert torch.allclose(logits[..., NO_IMAGE_IDS], ours[..., NO_IMAGE_IDS], atol=1e-5)
    assert (logits[..., ~NO_IMAGE_IDS] == torch.finfo(torch.float32).min).all(), "transformers masks image ids"


@pytest.mark.parametrize("swin_norm", [False, True])
def test_a_folder_saved_by_transformers_comes_back_with_its_vq_weights(tmp_path, swin_norm):
    theirs = ChameleonForConditionalGeneration(tiny_model(swin_norm=swin_norm).config).eval()
    for name, parameter in theirs.named_parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))) / 10)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="1MB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").is_file()
    loaded = load_folder(str(tmp_path / "theirs"), TEXT.vocab, NAMES)
    (tmp_path / "ours").mkdir()
    save_folder(tmp_path / "ours", loaded.model, loaded.vq_weights, TOKENIZER)
    again = ChameleonForConditionalGeneration.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        assert torch.allclose(theirs(IDS).logits, again(IDS).logits, atol=1e-5)
        ours = loaded.model.lm_head(loaded.model(IDS, POSITIONS))
        assert torch.allclose(ours[..., NO_IMAGE_IDS], theirs(IDS).logits[..., NO_IMAGE_IDS], atol=1e-5)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in theirs.state_dict().items())


def test_image_ids_get_logits_from_us(tmp_path):
    save_folder(tmp_path, tiny_model(), {}, TOKENIZER)
    model = load_folder(str(tmp_path), TEXT.vocab, NAMES).model
    with torch.no_grad():
        logits = model.lm_head(model(IDS, POSITIONS))
    assert logits[..., ~NO_IMAGE_IDS].std() > 0.1


def test_tied_embeddings_stay_one_matrix(tmp_path):
    config = tiny_model().config
    config.tie_word_embeddings = True
    theirs = ChameleonForConditionalGeneration(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load_folder(str(tmp_path / "theirs"), TEXT.vocab, NAMES)
    assert loaded.model.lm_head.weight is loaded.model.model.embed_tokens.weight
    assert torch.equal(loaded.model.lm_head.weight, theirs.lm_head.weight)
    (tmp_path / "ours").mkdir()
    save_folder(tmp_path / "ours", loaded.model, loaded.vq_weights, TOKENIZER)
    again = load_folder(str(tmp_path / "ours"), TEXT.vocab, NAMES)
    assert torch.equal(again.model.lm_head.weight, theirs.lm_head.weight)


def test_weights_come_back_in_the_asked_number_type(tmp_path):
    model = tiny_model()
    save_folder(tmp_path, model, {}, TOKENIZER)
    loaded = load_folder(str(tmp_path), TEXT.vocab, NAMES, torch.bfloat16).model
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight.bfloat16())


def test_the_placeholder_of_transformers_is_the_reserved_token(tmp_path):
    save_folder(tmp_path, tiny_model(), {}, TOKENIZER)
    table = json.loads((tmp_path / "config.json").read_text())
    assert table["vocabulary_map"]["<image>"] == NAMES["<reserved08707>"]
    assert (table["eos_token_id"], table["bos_token_id"]) == (8710, 0)


def test_wrong_folders_are_refused_with_a_reason(tmp_path):
    with pytest.raises(RecipeError, match=r"no config\.json"):
        load_folder(str(tmp_path), TEXT.vocab, NAMES)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RecipeError, match="no valid JSON"):
        load_folder(str(tmp_path), TEXT.vocab, NAMES)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(RecipeError, match="'llama', wanted 'chameleon'"):
        load_folder(str(tmp_path), TEXT.vocab, NAMES)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"), r"are missing: model\.layers\.1\.mlp\.up_proj\.weight"),
        (lambda weights: weights.update({"model.extra": torch.zeros(1)}), r"do not belong there: model\.extra"),
        (lambda weights: weights.update({"model.norm.weight": torch.zeros(3)}), r"have another shape: model\.norm\.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, change, message):
    from safetensors.torch import save_file

    save_folder(tmp_path, tiny_model(), {}, TOKENIZER)
    weights = load_file(tmp_path / "model.safetensors")
    change(weights)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(RecipeError, match=message):
        load_folder(str(tmp_path), TEXT.vocab, NAMES)


def test_truncated_weights_are_refused(tmp_path):
    save_folder(tmp_path, tiny_model(), {}, TOKENIZER)
    data = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(RecipeError, match="unreadable weights"):
        load_folder(str(tmp_path), TEXT.vocab, NAMES)


def test_a_model_with_another_vocabulary_is_refused_by_name(tmp_path):
    save_folder(tmp_path, tiny_model(), {}, TOKENIZER)
    with pytest.raises(RecipeError, match="<eoss> is id 8197 in the data and 8196 in the model"):
        load_folder(str(tmp_path), TEXT.vocab, NAMES | {"<eoss>": 8197})
