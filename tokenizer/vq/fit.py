"""Fit a VQGAN: a plain loop over crops, with a checkpoint from which the same next step follows.

The gradient passes the codebook as if it were not there (straight through), and the vectors are pulled to their codes. A batch is shared
among threads that meet once a step: threads that share every single operation wait for each other hundreds of times, and on a machine with
other work to do that made three steps out of four idle.

Shapes: B crops, D numbers a code vector, N vectors of a step, h x w codes.

Source: van den Oord et al. 1711.00937; Esser et al. 2012.09841, without the discriminator.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tokenizer.vq.codebook import kmeans
from tokenizer.vq.fit_options import FitOptions
from tokenizer.vq.fit_state import Fit, begin, new_averages, save, trained
from tokenizer.vq.losses import reconstruction_loss
from tokenizer.vq.network import VQGAN
from tokenizer.vq.pictures import Pool, central_squares, draw_crops

KMEANS_STREAM = 1  # second word of the seed: crops for k-means are none that a step takes
REVIVE_STREAM = 2


@dataclass(frozen=True)
class Measure:
    """How well pictures come back."""

    psnr: float  # dB, mean over pictures
    codes_used: int  # different codes in all pictures together

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.2f} dB, {self.codes_used} codes used"


def fit_vq(options: FitOptions, pools: list[Pool], held_out: list[Pool], report: Callable[[str], None]) -> Measure:
    """Fit a network, from where an earlier run on the same output stopped.

    Args:
        options: What to do.
        pools: Pictures to learn from.
        held_out: Pictures to measure with.
        report: Takes a line of progress.

    Returns:
        The averaged network's last measure on the held-out pictures.

    Raises:
        RecipeError: The config cannot be built, or `start_from` does not fit it.
        ResumeError: The output holds a network of another shape.
    """
    torch.set_num_threads(1)
    held_out_BHWC = central_squares(held_out, options.held_out_size)
    with ThreadPoolExecutor(options.threads, "fit", initializer=torch.set_num_threads, initargs=(1,)) as threads:
        fit = begin(options)
        measure = _measure(fit, held_out_BHWC)
        report(f"step {fit.step}: {measure} on {len(held_out_BHWC)} held-out pictures")
        while fit.step < options.steps:
            _run_to_next_save(fit, options, pools, threads, report)
            measure = _measure(fit, held_out_BHWC)
            report(f"step {fit.step}/{options.steps}: {measure}")
            fit.log.append({"step": fit.step, "psnr": measure.psnr, "codes_used": measure.codes_used})
            save(fit, options)
    return measure


def measure_network(network: VQGAN, pictures_BHWC: np.ndarray, quantized: bool) -> Measure:
    """Send pictures through the network, one at a time.

    Args:
        network: In float32.
        pictures_BHWC: uint8.
        quantized: Through the codebook too; False while it has not begun.
    """
    psnr, used = [], set()
    network.eval()
    with torch.inference_mode():
        for picture in pictures_BHWC:
            x = _to_tensor(picture[None])
            z = network.encode(x)
            if quantized:
                codes = network.codes(z)
                used.update(codes.flatten().tolist())
                z = network.vectors(codes)
            error = ((network.decode(z).clamp(-1, 1) - x) / 2).square().mean()
            psnr.append(-10 * float(torch.log10(error.clamp(min=1e-10))))
    network.train()
    return Measure(float(np.mean(psnr)), len(used))


def _run_to_next_save(fit: Fit, options: FitOptions, pools: list[Pool], threads: ThreadPoolExecutor, report: Callable[[str], None]) -> None:
    began, seen = time.monotonic(), 0
    losses: list[float] = []
    while not losses or (fit.step % options.save_every and fit.step < options.steps):
        if fit.averages is None and fit.step >= options.plain_steps:
            _begin_codebook(fit, options, pools)
        rng = _rng(options, fit.step)
        size = int(rng.choice(options.crop_sizes))
        x = _draw(options, pools, size, rng)
        losses.append(_train_step(fit, options, x, threads))
        seen += len(x)
        if fit.step % options.report_every == 0:
            loss = float(np.mean(losses[-options.report_every :]))
            report(f"step {fit.step}/{options.steps}: loss {loss:.4f}, {seen / (time.monotonic() - began):.1f} crops/s")
            fit.log.append({"step": fit.step, "loss": loss})


def _measure(fit: Fit, pictures_BHWC: np.ndarray) -> Measure:
    return measure_network(fit.average, pictures_BHWC, quantized=fit.averages is not None)


def _begin_codebook(fit: Fit, options: FitOptions, pools: list[Pool]) -> None:
    """k-means over the vectors of fresh crops."""
    vectors: list[Tensor] = []
    with torch.inference_mode():
        while sum(map(len, vectors)) < options.codebook.kmeans_vectors:
            x = _draw(options, pools, options.crop_sizes[0], _rng(options, len(vectors), KMEANS_STREAM))
            vectors.append(_flatten(fit.network.encode(x)))
    z_ND = torch.cat(vectors).clone()
    kmeans(z_ND, fit.network.quantize, options.codebook.kmeans_rounds, torch.Generator().manual_seed(options.seed))
    fit.averages = new_averages(fit, options)
    fit.average.load_state_dict(fit.network.state_dict())


def _train_step(fit: Fit, options: FitOptions, x_BCHW: Tensor, threads: ThreadPoolExecutor) -> float:
    """One step.

    Returns:
        The loss.
    """
    for group in fit.optimizer.param_groups:
        group["lr"] = options.learning_rate * _rate(fit.step, options)
    pieces = x_BCHW.chunk(options.threads)
    parts = list(threads.map(lambda piece: _gradients(fit, options, piece), pieces))
    shares = [len(piece) / len(x_BCHW) for piece in pieces]
    for parameter, *gradients in zip(trained(fit.network), *(part.gradients for part in parts), strict=True):
        parameter.grad = torch.stack([share * gradient for share, gradient in zip(shares, gradients, strict=True)]).sum(0)
    torch.nn.utils.clip_grad_norm_(trained(fit.network), options.clip_norm)
    fit.optimizer.step()
    if fit.averages is not None:
        z_ND = torch.cat([part.z_ND for part in parts])
        fit.averages.update(z_ND, torch.cat([part.codes_N for part in parts]))
        if fit.step % options.codebook.revive_every == 0:
            fit.averages.revive(z_ND, torch.Generator().manual_seed(int(_rng(options, fit.step, REVIVE_STREAM).integers(2**31))))
    with torch.no_grad():
        mix = 1 - min(options.average_decay, (fit.step + 1) / (fit.step + 10))  # short at first, or the random start would linger
        torch._foreach_lerp_(list(fit.average.parameters()), list(fit.network.parameters()), mix)
    fit.step += 1
    return sum(share * part.loss for share, part in zip(shares, parts, strict=True))


@dataclass(frozen=True, eq=False)
class _Part:
    """What one thread makes of its share of a batch."""

    loss: float
    gradients: tuple[Tensor, ...]  # of the trained parameters
    z_ND: Tensor
    codes_N: Tensor  # empty until the codebook has begun


def _gradients(fit: Fit, options: FitOptions, x_BCHW: Tensor) -> _Part:
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
        z = fit.network.encode(x_BCHW)
    z = z.float()
    codes = torch.empty(0, dtype=torch.int64)
    commitment = z.new_zeros(())
    quantized = z
    if fit.averages is not None:
        codes = fit.network.codes(z.detach())
        vectors = fit.network.vectors(codes)
        commitment = (z - vectors).square().mean()
        quantized = z + (vectors - z).detach()
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
        output = fit.network.decode(quantized)
    loss = reconstruction_loss(output.float(), x_BCHW, options.losses) + options.losses.commitment * commitment
    return _Part(float(loss.detach()), torch.autograd.grad(loss, trained(fit.network)), _flatten(z.detach()), codes.flatten())


def _rate(step: int, options: FitOptions) -> float:
    return min(1.0, (step + 1) / max(1, options.rise_steps), (options.steps - step) / max(1, options.fall_steps))


def _draw(options: FitOptions, pools: list[Pool], size: int, rng: np.random.Generator) -> Tensor:
    """A batch of crops [B, 3, size, size]."""
    count = max(1, options.batch_pixels // size**2)
    return _to_tensor(draw_crops(pools, size, count, options.swapped_colors, rng))


def _rng(options: FitOptions, step: int, stream: int = 0) -> np.random.Generator:
    """Depends on seed, step and purpose alone: a resumed run draws what an undisturbed one would."""
    return np.random.default_rng((options.seed, stream, step))


def _to_tensor(pixels_BHWC: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels_BHWC).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1


def _flatten(z_BDhw: Tensor) -> Tensor:
    return z_BDhw.permute(0, 2, 3, 1).reshape(-1, z_BDhw.shape[1]).float()
