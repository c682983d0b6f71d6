"""Model folders in transformers' form: read and written.

    config.json           model_type "chameleon", with the vocabulary by name
    model.safetensors     or several, with model.safetensors.index.json
    text_tokenizer.json   in folders of ours: the vocabulary that the model was trained with

`ChameleonForConditionalGeneration.from_pretrained` reads a folder of ours, and ours reads what it saves and what is published.
"""

import copy
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from transformers import ChameleonConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonRotaryEmbedding

from jobs.lm.model import IMAGE_PLACEHOLDER, PLACEHOLDER_NAME, LanguageModel, empty_model
from jobs.lm.parallel import own_rows, shard_model
from pipeline.errors import RecipeError
from pipeline.paths import read_bytes
from pipeline.shards.schema import TEXT_TOKENIZER
from tokenizer.vocab import Vocab

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
VQ_PREFIX = "model.vqmodel."
COMPUTED_SUFFIX = "rotary_emb.inv_freq"  # old folders store it


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model and what came with it."""

    model: LanguageModel
    vq_weights: Mapping[str, Tensor]  # of transformers' VQ network: not used, but written back


def read_names(text_tokenizer: str) -> dict[str, int]:
    """Every token's id by its name, from a `text_tokenizer.json`."""
    table = json.loads(read_bytes(text_tokenizer))
    return dict(table["model"]["vocab"]) | {token["content"]: token["id"] for token in table["added_tokens"]}


def load_folder(folder: str, vocab: Vocab, names: Mapping[str, int], dtype: torch.dtype = torch.float32) -> ModelFolder:
    """Read a model folder.

    Args:
        vocab: The vocabulary of the data.
        names: Every token's id by its name, in that vocabulary.

    Raises:
        RecipeError: It is no Chameleon, its weights are incomplete or foreign, or its vocabulary is another one.
    """
    path = Path(folder)
    config = _load_config(path)
    check_vocabulary(path, config, vocab, names)
    weights = _read_weights(path)
    vq_weights = {name: weights.pop(name) for name in sorted(weights) if name.startswith(VQ_PREFIX)}
    weights = {name: tensor for name, tensor in weights.items() if not name.endswith(COMPUTED_SUFFIX)}
    if config.tie_word_embeddings:
        weights.setdefault("lm_head.weight", weights.get("model.embed_tokens.weight", torch.empty(0)))
    model = empty_model(config, dtype)
    _check_weights(folder, model, {name: tuple(tensor.shape) for name, tensor in weights.items()})
    model.load_state_dict(weights)
    return ModelFolder(model, vq_weights)


def load_sharded(
    folder: str, vocab: Vocab, names: Mapping[str, int], *, mesh: DeviceMesh, dtype: torch.dtype, stored: torch.dtype = torch.float32
) -> ModelFolder:
    """Read a model folder onto many ranks: each reads its own rows, and no process ever holds the whole model.

    Args:
        dtype: Of the arithmetic, as in `shard_model`.
        stored: Of the weights.

    Returns:
        The sharded model; the weights of the VQ are with the first rank alone.

    Raises:
        RecipeError: As in `load_folder`.
    """
    path = Path(folder)
    config = _load_config(path)
    if config.tie_word_embeddings:  # a matrix that stands in two places does not outlive `to_empty`
        loaded = load_folder(folder, vocab, names, stored)
        shard_model(loaded.model, mesh, dtype)
        return loaded
    check_vocabulary(path, config, vocab, names)
    with torch.device("meta"):
        model = LanguageModel(config).to(stored)
    with ExitStack() as stack:
        places: dict[str, Any] = {}
        for file in weight_files(path):
            try:
                opened = stack.enter_context(safe_open(file, "pt"))
            except (OSError, SafetensorError) as error:
                raise RecipeError(f"{file}: unreadable weights ({error})") from error
            places |= {name: opened for name in opened.keys()}  # noqa: SIM118
        foreign = {name for name in places if name.startswith(VQ_PREFIX) or name.endswith(COMPUTED_SUFFIX)}
        shapes = {name: tuple(opened.get_slice(name).get_shape()) for name, opened in places.items() if name not in foreign}
        _check_weights(folder, model, shapes)
        shard_model(model, mesh, dtype)
        model.to_empty(device=mesh.device_type)
        model.model.rotary_emb = ChameleonRotaryEmbedding(config).to(mesh.device_type)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                rows, local = own_rows(parameter)
                if len(local):
                    local.copy_(places[name].get_slice(name)[rows])
        vq_names = sorted(name for name in foreign if name.startswith(VQ_PREFIX) and mesh.get_local_rank() == 0)
        return ModelFolder(model, {name: places[name].get_tensor(name) for name in vq_names})


def save_folder(folder: Path, model: LanguageModel, vq_weights: Mapping[str, Tensor], text_tokenizer: bytes) -> None:
    """Write a model folder; it must exist."""
    state = {name: tensor.detach().to("cpu").contiguous() for name, tensor in model.state_dict().items()}
    write_folder(folder, model.config, state | dict(vq_weights), text_tokenizer)


def write_folder(folder: Path, config: ChameleonConfig, weights: Mapping[str, Tensor], text_tokenizer: bytes) -> None:
    """Write a model folder from its parts; it must exist.

    Args:
        weights: By name, on the CPU, those of the VQ among them.
    """
    config = copy.deepcopy(config)  # a training goes on while its checkpoint is written
    config.dtype = str(weights["lm_head.weight"].dtype).removeprefix("torch.")
    stored = {name: tensor for name, tensor in weights.items() if not (config.tie_word_embeddings and name == "lm_head.weight")}
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(folder)
    (folder / TEXT_TOKENIZER).write_bytes(text_tokenizer)


def check_vocabulary(path: Path, config: ChameleonConfig, vocab: Vocab, names: Mapping[str, int]) -> None:
    """Refuse a model whose ids mean something else than the data's.

    Raises:
        RecipeError: The message names the first token that differs.
    """
    own = config.vocabulary_map or {}
    if IMAGE_PLACEHOLDER in own:
        own = own | {PLACEHOLDER_NAME: own[IMAGE_PLACEHOLDER]}
    for name, token_id in names.items():
        if own.get(name) != token_id:
            found = own.get(name, "missing")
            raise RecipeError(f"{path}: another vocabulary: {name} is id {token_id} in the data and {found} in the model")
    if config.vocab_size < vocab.size:
        raise RecipeError(f"{path}: the model has {config.vocab_size} ids, the vocabulary of the data {vocab.size}")


def _load_config(path: Path) -> ChameleonConfig:
    if not (path / CONFIG).is_file():
        raise RecipeError(f"{path}: no model folder (no {CONFIG})")
    try:
        table: dict[str, Any] = json.loads((path / CONFIG).read_bytes())
    except ValueError as error:
        raise RecipeError(f"{path / CONFIG}: no valid JSON: {error}") from error
    if table.get("model_type") != "chameleon":
        raise RecipeError(f"{path / CONFIG}: model_type is {table.get('model_type')!r}, wanted 'chameleon'")
    config: ChameleonConfig = ChameleonConfig.from_dict(table)
    return config


def weight_files(path: Path) -> list[Path]:
    """Of a model folder; whether they are there is not asked."""
    if (path / WEIGHTS_INDEX).is_file():
        return [path / name for name in sorted(set(json.loads((path / WEIGHTS_INDEX).read_bytes())["weight_map"].values()))]
    return [path / WEIGHTS]


def _read_weights(path: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for file in weight_files(path):
        try:
            weights |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise RecipeError(f"{file}: unreadable weights ({error})") from error
    return weights


def _check_weights(folder: str, model: LanguageModel, found: Mapping[str, tuple[int, ...]]) -> None:
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    _refuse(folder, "are missing", sorted(own.keys() - found.keys()))
    _refuse(folder, "do not belong there", sorted(found.keys() - own.keys()))
    _refuse(folder, "have another shape", [name for name in sorted(own) if own[name] != found[name]])


def _refuse(folder: str, what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise RecipeError(f"{folder}: weights that {what}: {', '.join(names[:5])}{more}")
