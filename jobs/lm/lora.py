"""Mode lora: two small matrices beside each of a layer's, and all else frozen. By peft, extra `[lora]`.

    W x  +  alpha / rank  B A x        A [rank, in] drawn from the seed, B [out, rank] from zero; both float32

A checkpoint has the adapter in peft's own form, and beside it the model with the adapter merged in. On many ranks W is sharded, and each
rank holds all of A and B.

Source: LoRA (arXiv 2106.09685).
"""

import importlib.util
import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jobs.lm.model import LanguageModel
from jobs.lm.options import TrainOptions
from pipeline.dice import dice
from pipeline.errors import RecipeError

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTER_FOLDER = "adapter"
ADAPTER = "default"  # peft's name for a model's only adapter
BASE, SMALL = ".base_layer", ".lora_"  # in the names of parameters
PEFT_PREFIX = "base_model.model."  # in front of parameters' names in peft's files


def check_peft() -> None:
    """Raises:
    RecipeError: peft is not there.
    """
    if importlib.util.find_spec("peft") is None:
        raise RecipeError('train.mode: lora wants the package peft; pip install "mgpt[lora]"')


def add_lora(model: LanguageModel, options: TrainOptions, seed: int) -> None:
    """Freeze a model, and put small matrices beside those of its layers."""
    from peft import inject_adapter_in_model

    device = model.device
    model.requires_grad_(False)
    inject_adapter_in_model(_config(options, dropout=0.0), model)
    for name, module in adapters(model).items():
        generator = torch.Generator().manual_seed(dice(seed, name, "lora").getrandbits(63))
        small = torch.empty(module.lora_A[ADAPTER].weight.shape)
        nn.init.kaiming_uniform_(small, a=math.sqrt(5), generator=generator)
        for matrix, values in ((module.lora_A[ADAPTER], small), (module.lora_B[ADAPTER], None)):
            shape = matrix.weight.shape
            matrix.weight = nn.Parameter((torch.zeros(shape) if values is None else values).to(device))


def adapters(model: LanguageModel) -> dict[str, Any]:
    """The layers' matrices that have small ones beside them, by name; none in another mode."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A") and hasattr(module, "base_layer")}


def lora_dropouts(model: LanguageModel) -> list[nn.Module]:
    """What goes into the small matrices comes out of these."""
    return [module.lora_dropout[ADAPTER] for module in adapters(model).values()]


def merged(module: Any, base_weight: Tensor) -> Tensor:
    """A matrix with its small ones in it, in its own number type; all of it lies on one rank."""
    product = module.lora_B[ADAPTER].weight.detach() @ module.lora_A[ADAPTER].weight.detach()
    return (base_weight.float() + product * module.scaling[ADAPTER]).to(base_weight.dtype)


def adapter_weights(model: LanguageModel) -> dict[str, Tensor]:
    """The small matrices by their names in peft's `adapter_model.safetensors`; none in another mode."""
    small = ((name, parameter) for name, parameter in model.named_parameters() if SMALL in name)
    return {PEFT_PREFIX + name.replace(f".{ADAPTER}", ""): parameter.detach() for name, parameter in small}


def adapter_config(options: TrainOptions) -> str:
    """peft's `adapter_config.json`."""
    with tempfile.TemporaryDirectory() as folder:
        _config(options, dropout=options.lora_dropout).save_pretrained(folder)
        return (Path(folder) / "adapter_config.json").read_text()


def _config(options: TrainOptions, *, dropout: float) -> Any:
    """Args:
    dropout: 0 while we train: it is ours then, for peft's is another one in each run.
    """
    from peft import LoraConfig

    return LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=dropout,
        target_modules=list(TARGETS),
        bias="none",
        base_model_name_or_path=options.init,
        inference_mode=True,
    )
