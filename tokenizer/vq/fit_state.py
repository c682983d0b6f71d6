"""All that changes while a VQGAN is fitted, and the checkpoint that holds it.

OUTPUT/checkpoint.pt          network, averaged network, optimizer, codebook averages, step, log (tensors, numbers and strings only)
OUTPUT/weights.safetensors    the averaged network, float16, ready for `[tokens] vq`
OUTPUT/vqgan.yaml             its shape
OUTPUT/log.jsonl              one line a report
"""

import io
import json
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.errors import RecipeError, ResumeError
from pipeline.paths import commit, commit_bytes, exists, join, read_bytes
from tokenizer.vq.codebook import CodebookAverages
from tokenizer.vq.config import read_config
from tokenizer.vq.fit_options import FitOptions
from tokenizer.vq.network import VQGAN
from tokenizer.vq.weights import load_weights, read_weights, save_weights

CHECKPOINT = "checkpoint.pt"


@dataclass(eq=False)
class Fit:
    """A run at one step."""

    network: VQGAN
    average: VQGAN  # of the network's weights over the last steps
    optimizer: torch.optim.Optimizer
    averages: CodebookAverages | None = None  # None until the codebook has begun
    step: int = 0  # steps that are done
    log: list[dict[str, float]] = field(default_factory=list)


def begin(options: FitOptions) -> Fit:
    """A new network, or what the output holds of an earlier run.

    Raises:
        RecipeError: The config cannot be built, or `start_from` does not fit it.
        ResumeError: The output holds a network of another shape.
    """
    torch.manual_seed(options.seed)
    config = read_config(options.config)
    network = VQGAN(config).train()
    if options.start_from:
        load_weights(network, read_weights(options.start_from), options.start_from)
    network.quantize.requires_grad_(False)
    average = VQGAN(config).requires_grad_(False)
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(trained(network), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=0)
    fit = Fit(network, average, optimizer)
    path = join(options.output, CHECKPOINT)
    if exists(path):
        _resume(fit, options, path)
    elif options.start_from:
        fit.averages = new_averages(fit, options)
    return fit


def save(fit: Fit, options: FitOptions) -> None:
    """Write the checkpoint, and what a reader wants of it."""
    config = read_bytes(options.config)
    document = {
        "step": fit.step,
        "config": config.decode(),
        "log": json.dumps(fit.log),
        "network": fit.network.state_dict(),
        "average": fit.average.state_dict(),
        "optimizer": fit.optimizer.state_dict(),
        "counts": fit.averages.counts_K if fit.averages else None,
        "sums": fit.averages.sums_KD if fit.averages else None,
    }
    commit(join(options.output, CHECKPOINT), lambda file: torch.save(document, file))
    commit_bytes(join(options.output, "vqgan.yaml"), config)
    commit_bytes(join(options.output, "log.jsonl"), "".join(json.dumps(row) + "\n" for row in fit.log).encode())
    save_weights(fit.average, join(options.output, "weights.safetensors"), half_precision=True)


def new_averages(fit: Fit, options: FitOptions) -> CodebookAverages:
    """Averages that start from the codebook as it is."""
    vectors_a_step = options.batch_pixels // read_config(options.config).downsample ** 2
    return CodebookAverages(fit.network.quantize, options.codebook, vectors_a_step)


def trained(network: VQGAN) -> list[Tensor]:
    """The parameters that the optimizer moves: all but the codebook."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _resume(fit: Fit, options: FitOptions, path: str) -> None:
    document = torch.load(io.BytesIO(read_bytes(path)), weights_only=True)
    if document["config"] != read_bytes(options.config).decode():
        raise ResumeError(f"{path}: belongs to another network than {options.config}; choose another output")
    if document["step"] > options.steps:
        raise RecipeError(f"steps: {path} has done {document['step']} already, {options.steps} are asked for")
    fit.network.load_state_dict(document["network"])
    fit.average.load_state_dict(document["average"])
    fit.optimizer.load_state_dict(document["optimizer"])
    fit.step, fit.log = document["step"], json.loads(document["log"])
    if document["counts"] is not None:
        fit.averages = new_averages(fit, options)
        fit.averages.counts_K.copy_(document["counts"])
        fit.averages.sums_KD.copy_(document["sums"])
