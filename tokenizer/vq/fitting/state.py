"""All that changes while a VQGAN is fitted, and the checkpoint that holds it.

OUTPUT/checkpoint.pt          network, averaged network, optimizers, codebook averages, discriminator, step, log (tensors, numbers, strings)
OUTPUT/weights.safetensors    the averaged network, float16, ready for `[tokens] vq`
OUTPUT/vqgan.yaml             its shape
OUTPUT/log.jsonl              one line a report
"""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import RecipeError, ResumeError
from pipeline.paths import commit, commit_bytes, exists, join, read_bytes
from tokenizer.vq.config import read_config
from tokenizer.vq.fitting.adversarial import Discriminator
from tokenizer.vq.fitting.codebook import CodebookAverages
from tokenizer.vq.fitting.options import FitOptions
from tokenizer.vq.fitting.perceptual import Features, Lpips
from tokenizer.vq.network import VQGAN
from tokenizer.vq.weights import load_weights, read_weights, save_weights

CHECKPOINT = "checkpoint.pt"
HALVES = {"all": ("",), "encoder": ("encoder.", "quant_conv."), "decoder": ("decoder.", "post_quant_conv.")}  # prefixes of what learns
BETAS = (0.9, 0.99)
DISCRIMINATOR_BETAS = (0.5, 0.9)


@dataclass(eq=False)
class Fit:
    """A run at one step."""

    network: VQGAN
    average: VQGAN  # of the network's weights over the last steps
    optimizer: torch.optim.Optimizer
    features: Features | None  # of the perceptual term
    lpips: Lpips | None
    teacher: VQGAN | None
    discriminator: nn.Module | None
    discriminator_optimizer: torch.optim.Optimizer | None
    balance: float = 0.0  # what the adversarial term is multiplied with, so that it pulls as strong as the others
    begun: bool = False  # the codebook takes part
    averages: CodebookAverages | None = None  # None until the codebook has begun, and where it is not to learn
    step: int = 0  # steps that are done
    log: list[dict[str, float]] = field(default_factory=list)


def begin(options: FitOptions, device: torch.device) -> Fit:
    """A new network, or what the output holds of an earlier run.

    Raises:
        RecipeError: The config cannot be built, `start_from` does not fit it, or another network that the losses want cannot be had.
        ResumeError: The output holds a network of another shape.
    """
    torch.manual_seed(options.seed)
    config = read_config(options.config)
    network = VQGAN(config).train()
    if options.start_from:
        _start_from(network, options)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(HALVES[options.learns]))
    network.quantize.requires_grad_(options.learns == "all" and options.codebook.update == "gradient")
    average = VQGAN(config).requires_grad_(False)
    average.load_state_dict(network.state_dict())
    network.to(device)
    average.to(device)
    features = Features(options.perceptual).to(device) if options.perceptual.kind == "features" else None
    lpips = Lpips(options.perceptual).to(device) if options.perceptual.kind == "lpips" else None
    discriminator, of_discriminator = _discriminator(options, features, device)
    optimizer = torch.optim.AdamW(trained(network), lr=options.learning_rate, betas=BETAS, weight_decay=0)
    teacher = _teacher(options).to(device) if options.teacher.weights else None
    fit = Fit(network, average, optimizer, features, lpips, teacher, discriminator, of_discriminator)
    path = join(options.output, CHECKPOINT)
    if exists(path):
        _resume(fit, options, path)
    elif options.encoder_is_given:
        begin_codebook(fit, options)
    return fit


def begin_codebook(fit: Fit, options: FitOptions) -> None:
    """From here on the codebook takes part, as it is now."""
    fit.begun = True
    if options.learns == "all":
        vectors_a_step = options.batch_pixels // read_config(options.config).downsample ** 2
        fit.averages = CodebookAverages(fit.network.quantize, options.codebook, vectors_a_step)


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
        "balance": fit.balance,
        "begun": fit.begun,
        "counts": fit.averages.counts_K if fit.averages else None,
        "sums": fit.averages.sums_KD if fit.averages else None,
        "discriminator": _state(fit.discriminator),
        "discriminator_optimizer": _state(fit.discriminator_optimizer),
    }
    commit(join(options.output, CHECKPOINT), lambda file: torch.save(document, file))
    commit_bytes(join(options.output, "vqgan.yaml"), config)
    commit_bytes(join(options.output, "log.jsonl"), "".join(json.dumps(row) + "\n" for row in fit.log).encode())
    save_weights(fit.average, join(options.output, "weights.safetensors"), half_precision=True)


def trained(network: VQGAN) -> list[Tensor]:
    """The parameters that the optimizer moves."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _start_from(network: VQGAN, options: FitOptions) -> None:
    """Weights from a file; parts that begin anew are left out of both sides."""
    tensors = read_weights(options.start_from)
    if options.begin_anew:
        own = network.state_dict()
        for name in options.begin_anew:
            if not any(key.startswith(name) for key in own):
                raise RecipeError(f"fit.begin_anew: the network has no part '{name}'")
        fresh = {key: tensor for key, tensor in own.items() if key.startswith(options.begin_anew)}
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(options.begin_anew)} | fresh
    load_weights(network, tensors, options.start_from)


def _teacher(options: FitOptions) -> VQGAN:
    """Frozen, with the same vectors and the same pixels a code as the network."""
    own, config = read_config(options.config), read_config(options.teacher.config)
    if (config.embed_dim, config.downsample) != (own.embed_dim, own.downsample):
        shapes = [f"{each.embed_dim} numbers for {each.downsample} pixels a side" for each in (config, own)]
        raise RecipeError(f"fit.teacher.config: the teacher makes {shapes[0]}, the network {shapes[1]}")
    teacher = VQGAN(config)
    load_weights(teacher, read_weights(options.teacher.weights), options.teacher.weights)
    return teacher.eval().requires_grad_(False)


def _discriminator(
    options: FitOptions, features: Features | None, device: torch.device
) -> tuple[nn.Module | None, torch.optim.Optimizer | None]:
    wanted = options.adversarial
    if wanted.kind == "off":
        return None, None
    channels = features.channels if features is not None and wanted.kind != "pixels" else []
    network = Discriminator(wanted.kind != "features", channels, wanted.channels)
    network.eval().to(device)  # only `refresh_norms` moves the spectral norms
    return network, torch.optim.AdamW(network.parameters(), lr=wanted.learning_rate, betas=DISCRIMINATOR_BETAS, weight_decay=0)


def _resume(fit: Fit, options: FitOptions, path: str) -> None:
    document = torch.load(io.BytesIO(read_bytes(path)), map_location="cpu", weights_only=True)
    if document["config"] != read_bytes(options.config).decode():
        raise ResumeError(f"{path}: belongs to another network than {options.config}; choose another output")
    if document["step"] > options.steps:
        raise RecipeError(f"steps: {path} has done {document['step']} already, {options.steps} are asked for")
    fit.network.load_state_dict(document["network"])
    fit.average.load_state_dict(document["average"])
    fit.step, fit.log, fit.balance = document["step"], json.loads(document["log"]), document["balance"]
    if document["begun"]:
        begin_codebook(fit, options)
    if bool(fit.averages) != (document["counts"] is not None) or bool(fit.discriminator) != bool(document["discriminator"]):
        raise ResumeError(f"{path}: was made with another fit.learns or fit.adversarial.kind; choose another output")
    try:
        fit.optimizer.load_state_dict(document["optimizer"])
        if fit.discriminator is not None and fit.discriminator_optimizer is not None:
            fit.discriminator.load_state_dict(document["discriminator"])
            fit.discriminator_optimizer.load_state_dict(document["discriminator_optimizer"])
    except (ValueError, RuntimeError) as error:
        raise ResumeError(f"{path}: was made with other options that shape what learns ({error}); choose another output") from error
    if fit.averages:
        fit.averages.counts_K.copy_(document["counts"])
        fit.averages.sums_KD.copy_(document["sums"])


def _state(part: nn.Module | torch.optim.Optimizer | None) -> dict[str, Any] | None:
    return None if part is None else part.state_dict()
