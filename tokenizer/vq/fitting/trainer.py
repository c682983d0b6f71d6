"""Fit a VQGAN: a plain loop over crops, with a checkpoint from which the same next step follows.

A batch is shared among ranks, and on a CPU among threads, that meet once a step: threads that share every single operation wait for each
other hundreds of times, and on a machine with other work to do that made three steps out of four idle.

Shapes: B crops, D numbers a code vector, N vectors of a step.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tokenizer.vq.fitting.adversarial import refresh_norms
from tokenizer.vq.fitting.codebook import kmeans
from tokenizer.vq.fitting.feed import REVIVE, Feed, dice
from tokenizer.vq.fitting.measure import Measure, measure_network
from tokenizer.vq.fitting.options import FitOptions
from tokenizer.vq.fitting.pictures import Pool, central_squares
from tokenizer.vq.fitting.ranks import Ranks, join_ranks, leave_ranks
from tokenizer.vq.fitting.state import Fit, begin, begin_codebook, save, trained
from tokenizer.vq.fitting.step import Part, part_of_step


@dataclass(frozen=True)
class _Work:
    """What stays the same during a run."""

    options: FitOptions
    feed: Feed
    ranks: Ranks
    threads: ThreadPoolExecutor
    device: torch.device
    held_out_BHWC: np.ndarray
    report: Callable[[str], None]


def fit_vq(options: FitOptions, pools: list[Pool], held_out: list[Pool], report: Callable[[str], None]) -> Measure:
    """Fit a network, from where an earlier run on the same output stopped.

    Args:
        options: What to do.
        pools: Pictures to learn from.
        held_out: Pictures to measure with.
        report: Takes a line of progress; called on rank 0 only.

    Returns:
        The averaged network's last measure on the held-out pictures.

    Raises:
        RecipeError: The config cannot be built, `start_from` does not fit it, or a loss lacks its network.
        ResumeError: The output holds another network, or was made with other parts.
    """
    device = _device(options)
    ranks = join_ranks(device)
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    torch.set_num_threads(1)
    held_out_BHWC = central_squares(held_out, options.held_out_size)
    try:
        fit = begin(options, device)
        with Feed(options, pools, ranks) as feed, _threads(options, device) as threads:
            work = _Work(options, feed, ranks, threads, device, held_out_BHWC, report if ranks.rank == 0 else _silence)
            ranks.first_s_([*fit.network.state_dict().values(), *fit.average.state_dict().values()])
            measure = _measure(fit, work)
            work.report(f"step {fit.step}: {measure} on {len(held_out_BHWC)} held-out pictures")
            while fit.step < options.steps:
                _run_to_next_save(fit, work)
                measure = _measure(fit, work)
                work.report(f"step {fit.step}/{options.steps}: {measure}")
                fit.log.append({"step": fit.step} | measure.numbers())
                if ranks.rank == 0:
                    save(fit, options)
    finally:
        leave_ranks(ranks)
    return measure


def _run_to_next_save(fit: Fit, work: _Work) -> None:
    options = work.options
    began, seen = time.monotonic(), 0
    losses: list[dict[str, float]] = []
    while not losses or (fit.step % options.save_every and fit.step < options.steps):
        if not fit.begun and fit.step >= options.plain_steps:
            _begin_codebook(fit, work)
        x = work.feed.batch(fit.step).to(work.device)
        losses.append(_train_step(fit, work, x))
        seen += len(x) * work.ranks.size
        if fit.step % options.report_every == 0:
            recent = losses[-options.report_every :]
            names = dict.fromkeys(name for each in recent for name in each)
            mean = {name: float(np.mean([each[name] for each in recent if name in each])) for name in names}
            words = ", ".join(f"{name} {value:.4f}" for name, value in mean.items())
            work.report(f"step {fit.step}/{options.steps}: {words}, {seen / (time.monotonic() - began):.1f} crops/s")
            fit.log.append({"step": fit.step} | mean)


def _begin_codebook(fit: Fit, work: _Work) -> None:
    """With k-means over the vectors of fresh crops, where `start_from` gave no codebook."""
    options = work.options
    if options.codebook_is_given:
        begin_codebook(fit, options)
        return
    vectors: list[Tensor] = []
    with torch.inference_mode():
        while sum(map(len, vectors)) < options.codebook.kmeans_vectors:
            z = fit.network.encode(work.feed.more(len(vectors)).to(work.device))
            vectors.append(z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]))
    z_ND = torch.cat(vectors).clone()
    kmeans(z_ND, fit.network.quantize, options.codebook.kmeans_rounds, torch.Generator().manual_seed(options.seed))
    work.ranks.first_s_([fit.network.quantize.embedding.weight.data])
    begin_codebook(fit, options)
    fit.average.load_state_dict(fit.network.state_dict())


def _train_step(fit: Fit, work: _Work, x_BCHW: Tensor) -> dict[str, float]:
    """One step.

    Returns:
        The losses over all ranks.
    """
    options, ranks = work.options, work.ranks
    pieces = x_BCHW.chunk(options.threads if work.device.type == "cpu" else 1)
    parts: list[Part] = list(work.threads.map(lambda piece: part_of_step(fit, options, piece), pieces))
    total = options.crops_a_step((x_BCHW.shape[3], x_BCHW.shape[2]))
    shares = [len(piece) / total for piece in pieces]
    gradients = [
        torch.stack([share * gradient for share, gradient in zip(shares, each, strict=True)]).sum(0)
        for each in zip(*(part.gradients for part in parts), strict=True)
    ]
    names = list(parts[0].losses)
    losses = torch.tensor([sum(s * part.losses[name] for s, part in zip(shares, parts, strict=True)) for name in names], device=work.device)
    ranks.sum_([*gradients, losses])
    mean = dict(zip(names, losses.tolist(), strict=True))
    fit.balance = mean.get("balance", fit.balance)
    _move(fit, options, gradients)
    if fit.averages is not None:
        z_ND, codes_N = ranks.gather(torch.cat([part.z_ND for part in parts])), ranks.gather(torch.cat([part.codes_N for part in parts]))
        fit.averages.update(z_ND, codes_N)
        if fit.step % options.codebook.revive_every == 0:
            fit.averages.revive(z_ND, torch.Generator().manual_seed(int(dice(options, REVIVE, fit.step).integers(2**31))))
    with torch.no_grad():
        mix = 1 - min(options.average_decay, (fit.step + 1) / (fit.step + 10))  # short at first, or the random start would linger
        torch._foreach_lerp_(list(fit.average.parameters()), list(fit.network.parameters()), mix)
    fit.step += 1
    return mean


def _move(fit: Fit, options: FitOptions, gradients: list[Tensor]) -> None:
    """Give the gradients to the optimizers."""
    rate = _rate(fit.step, options)
    own = trained(fit.network)
    _optimize(fit.optimizer, own, gradients[: len(own)], options.learning_rate * rate, options.clip_norm)
    if fit.discriminator is not None and fit.discriminator_optimizer is not None and len(gradients) > len(own):
        theirs = list(fit.discriminator.parameters())
        learning_rate = options.adversarial.learning_rate * rate
        _optimize(fit.discriminator_optimizer, theirs, gradients[len(own) :], learning_rate, options.clip_norm)
        refresh_norms(fit.discriminator)


def _optimize(
    optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], gradients: list[Tensor], rate: float, clip_norm: float
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()


def _measure(fit: Fit, work: _Work) -> Measure:
    return measure_network(fit.average, work.held_out_BHWC, fit.begun, work.device)


def _rate(step: int, options: FitOptions) -> float:
    return min(1.0, (step + 1) / max(1, options.rise_steps), (options.steps - step) / max(1, options.fall_steps))


def _threads(options: FitOptions, device: torch.device) -> ThreadPoolExecutor:
    count = options.threads if device.type == "cpu" else 1
    return ThreadPoolExecutor(count, "fit", initializer=torch.set_num_threads, initargs=(1,))


def _device(options: FitOptions) -> torch.device:
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(options.device)


def _silence(line: str) -> None:
    """What other ranks than the first say."""
