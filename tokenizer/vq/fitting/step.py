"""What one share of a batch says: losses and gradients, for the network and for the discriminator.

    crops -> encoder -> z -> code vectors -> decoder -> decoded crops
                             |                            |-- pixel terms                     losses.py
                             |-- commitment, teacher      |-- perceptual term                 perceptual.py
                                                          |-- adversarial term                adversarial.py

The gradient passes the codebook as if it were not there (straight through).

Shapes: B crops, D numbers a code vector, N vectors, h x w codes.

Source: van den Oord et al. 1711.00937; Esser et al. 2012.09841, equation 7 (the balance of the adversarial term); Romero et al. 1412.6550
(an encoder that learns from another one's vectors).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenizer.vq.fitting.adversarial import discriminator_loss, generator_loss
from tokenizer.vq.fitting.losses import reconstruction_loss
from tokenizer.vq.fitting.options import FitOptions
from tokenizer.vq.fitting.perceptual import feature_distance
from tokenizer.vq.fitting.state import Fit, trained

BALANCE_EVERY = 10  # steps between two measurements of how strong the adversarial term pulls
PULL_FLOOR = 1e-4
MAX_BALANCE = 1e4


@dataclass(frozen=True, eq=False)
class Part:
    """What comes of one share of a batch."""

    gradients: list[Tensor]  # of the trained parameters, then of the discriminator's
    losses: dict[str, float]  # "loss" and what it is made of
    z_ND: Tensor
    codes_N: Tensor  # empty until the codebook has begun


def part_of_step(fit: Fit, options: FitOptions, x_BCHW: Tensor) -> Part:
    """Decode crops and judge them.

    Args:
        fit: Not changed, so that threads may share it.
        x_BCHW: Crops in [-1, 1], on the network's device.
    """
    autocast = torch.autocast(x_BCHW.device.type, torch.bfloat16, enabled=options.precision == "bfloat16")
    with autocast, torch.set_grad_enabled(options.learns != "decoder"):
        z = fit.network.encode(x_BCHW)
    quantized, codes, loss = _quantize(fit, options, z.float())
    losses = {"loss": 0.0}
    if fit.teacher is not None:
        with autocast, torch.no_grad():
            wanted = fit.teacher.encode(x_BCHW)
        distance = _share_of_variance(z.float(), wanted.float())
        losses["teacher"] = float(distance.detach())
        loss = loss + options.teacher.weight * distance
    of_discriminator: list[Tensor] = []
    if options.judges_pictures:
        loss, of_discriminator = _judge(fit, options, quantized, x_BCHW, loss, losses)
    losses["loss"] = float(loss.detach())
    of_network = torch.autograd.grad(loss, trained(fit.network), allow_unused=True, materialize_grads=True)
    return Part([*of_network, *of_discriminator], losses, _flatten(z.detach()), codes.flatten())


def adversarial_weight(options: FitOptions, step: int) -> float:
    """The adversarial term's weight, which rises from nothing."""
    adversarial = options.adversarial
    return adversarial.weight * min(1.0, max(0, step - adversarial.from_step) / max(1, adversarial.rise_steps))


def _judge(
    fit: Fit, options: FitOptions, quantized: Tensor, x_BCHW: Tensor, loss: Tensor, losses: dict[str, float]
) -> tuple[Tensor, list[Tensor]]:
    """Decode, add all terms that look at pictures to `loss` and their values to `losses`; the loss and the discriminator's gradients."""
    autocast = torch.autocast(x_BCHW.device.type, torch.bfloat16, enabled=options.precision == "bfloat16")
    with autocast:
        output = fit.network.decode(quantized)
    output = output.float()
    pixels = reconstruction_loss(output, x_BCHW, options.losses)
    losses["pixels"] = float(pixels.detach())
    loss = loss + pixels
    of_discriminator: list[Tensor] = []
    with autocast:
        seen = _seen(fit, output, x_BCHW)
        if fit.features is not None or fit.lpips is not None:
            distance = feature_distance(*seen) if fit.lpips is None else fit.lpips(output, x_BCHW).float()
            losses["perceptual"] = float(distance.detach())
            loss = loss + options.perceptual.weight * distance
        if fit.discriminator is not None and fit.step >= options.adversarial.from_step:
            ours = generator_loss(fit.discriminator(output, seen[0]))
            if fit.step % BALANCE_EVERY == 0:
                losses["balance"] = _balance(fit, output, loss, ours)
            loss = loss + adversarial_weight(options, fit.step) * losses.get("balance", fit.balance) * ours
            of_fake = fit.discriminator(output.detach(), [stage.detach() for stage in seen[0]])
            theirs = discriminator_loss(fit.discriminator(x_BCHW, seen[1]), of_fake)
            losses["discriminator"] = float(theirs.detach())
            of_discriminator = list(torch.autograd.grad(theirs, list(fit.discriminator.parameters())))
    return loss, of_discriminator


def _balance(fit: Fit, output: Tensor, others: Tensor, adversarial: Tensor) -> float:
    """How much stronger the other terms pull at the decoder's last layer: with it one weight fits every discriminator.

    At the picture itself, where the decoder does not learn.
    """
    last = fit.network.decoder.conv_out.weight
    at = last if last.requires_grad else output
    pulls = [torch.autograd.grad(term, at, retain_graph=True)[0].float().norm() for term in (others, adversarial)]
    return float((pulls[0] / (pulls[1] + PULL_FLOOR)).clamp(max=MAX_BALANCE))


def _quantize(fit: Fit, options: FitOptions, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The code vectors as the decoder gets them, the codes, and the loss that binds both sides."""
    if not fit.begun:
        return z, torch.empty(0, dtype=torch.int64, device=z.device), z.new_zeros(())
    codes = fit.network.codes(z.detach())
    vectors = fit.network.vectors(codes)
    loss = options.losses.commitment * (z - vectors.detach()).square().mean()
    if options.codebook.update == "gradient":
        loss = loss + (vectors - z.detach()).square().mean()
    return z + (vectors - z).detach(), codes, loss


def _seen(fit: Fit, output_BCHW: Tensor, target_BCHW: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Features of decoded and of real crops; none without a network for them."""
    if fit.features is None:
        return [], []
    with torch.no_grad():
        target = fit.features(target_BCHW)
    return fit.features(output_BCHW), target


def _share_of_variance(z_BDhw: Tensor, wanted_BDhw: Tensor) -> Tensor:
    """Mean squared distance over the variance of what is wanted: 1 for whoever knows its mean alone."""
    return (z_BDhw - wanted_BDhw).square().mean() / (wanted_BDhw - wanted_BDhw.mean((0, 2, 3), keepdim=True)).square().mean()


def _flatten(z_BDhw: Tensor) -> Tensor:
    return z_BDhw.permute(0, 2, 3, 1).reshape(-1, z_BDhw.shape[1]).float()
