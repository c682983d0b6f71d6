"""What of a model is trained (`train.mode`), and what a checkpoint keeps of it.

    mode        trained                      a checkpoint has beside the whole model
    full        every weight                 nothing
    head_rows   the head's image rows        head_rows.safetensors: the rows in float32
    lora        small matrices of layers     adapter/: peft's form; the model beside it has it merged in

Parameters that are trained are those that want a gradient; what is trained in a mode but full is whole on every rank.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from jobs.lm.head_rows import HEAD_ROWS, add_head_rows, head_rows_of
from jobs.lm.lora import ADAPTER_FOLDER, BASE, SMALL, adapter_config, adapter_weights, adapters, add_lora, check_peft, merged
from jobs.lm.model import LanguageModel
from jobs.lm.options import TrainOptions
from jobs.lm.parallel import Ranks, whole
from pipeline.errors import ResumeError
from tokenizer.vocab import Vocab

ROWS_FILE = f"{HEAD_ROWS}.safetensors"
ADAPTER_WEIGHTS = f"{ADAPTER_FOLDER}/adapter_model.safetensors"
ADAPTER_CONFIG = f"{ADAPTER_FOLDER}/adapter_config.json"


@dataclass(frozen=True, slots=True)
class Extra:
    """What a checkpoint keeps beside the whole model."""

    tensors: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)  # by file
    texts: Mapping[str, str] = field(default_factory=dict)  # by file


def check_mode(options: TrainOptions) -> None:
    """Raises:
    RecipeError: A package is missing.
    """
    if options.mode == "lora":
        check_peft()


def frozen_dtype(options: TrainOptions) -> torch.dtype:
    """In which a model is loaded: weights that are trained are float32, those that are not need no more than the arithmetic."""
    return torch.float32 if options.mode == "full" else getattr(torch, options.dtype)


def set_mode(model: LanguageModel, options: TrainOptions, vocab: Vocab, seed: int) -> None:
    """Freeze what is not trained, and add what is.

    Raises:
        RecipeError: The model is none for the mode.
    """
    if options.mode == "head_rows":
        add_head_rows(model, vocab)
    elif options.mode == "lora":
        add_lora(model, options, seed)


def load_trained(checkpoint: Path, model: LanguageModel) -> None:
    """Give a model what a checkpoint keeps beside the whole model.

    Raises:
        ResumeError: A file is missing or does not fit.
    """
    rows = head_rows_of(model)
    if rows is not None:
        _copy(checkpoint / ROWS_FILE, {"weight": rows.weight})
        rows.write_back(model)
    if small := adapter_weights(model):
        _copy(checkpoint / ADAPTER_WEIGHTS, small)


def plain_weights(model: LanguageModel) -> Iterator[tuple[str, Tensor]]:
    """The whole model under transformers' names, one tensor after the other, so that no GPU ever holds two of them whole.

    All ranks must call this together.
    """
    small = adapters(model)
    for name, tensor in model.state_dict().items():
        if SMALL in name or name.startswith(f"{HEAD_ROWS}."):
            continue
        full = whole(tensor.detach())
        stem = name.removesuffix(".weight").removesuffix(BASE)
        yield name.replace(BASE, ""), merged(small[stem], full) if stem in small else full


def extra_of(model: LanguageModel, options: TrainOptions) -> Extra:
    """What a checkpoint keeps beside the whole model; tensors as they lie."""
    if options.mode == "head_rows":
        rows = head_rows_of(model)
        assert rows is not None
        return Extra({ROWS_FILE: {"ids": rows.ids_L, "weight": rows.weight.detach()}})
    if options.mode == "lora":
        return Extra({ADAPTER_WEIGHTS: adapter_weights(model)}, {ADAPTER_CONFIG: adapter_config(options)})
    return Extra()


def average_gradients(model: LanguageModel, ranks: Ranks) -> None:
    """Of parameters that are whole on every rank; FSDP does the others."""
    for parameter in model.parameters() if ranks.mesh is not None else ():
        if parameter.grad is not None and not isinstance(parameter.grad, DTensor):
            dist.all_reduce(parameter.grad)
            parameter.grad /= ranks.size


def finish_step(model: LanguageModel) -> None:
    """After the optimizer's step."""
    rows = head_rows_of(model)
    if rows is not None:
        rows.write_back(model)


def _copy(file: Path, parameters: Mapping[str, Tensor]) -> None:
    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ResumeError(f"{file}: unreadable ({error})") from error
    for name, parameter in parameters.items():
        if name not in stored or stored[name].shape != parameter.shape:
            raise ResumeError(f"{file}: no weights for {name}")
        with torch.no_grad():
            parameter.copy_(stored[name])
