"""Cross entropy and z-loss, a few positions at a time: the logits of a whole batch never exist.

    loss = mean over loss tokens of  (logsumexp(logits) - logits[target])  +  z * logsumexp(logits)²

The mean is over the loss tokens of a whole step, each with its task's weight, however many parts and ranks the step is divided into: the
parts' losses and gradients add up to the step's.

The gradient of a sum of such terms is known in closed form, so each chunk's is computed while its logits are at hand, and nothing is
computed twice. Where a position is restricted to some ids, logits and logsumexp run over these alone.

Shapes: N loss tokens, D hidden size, V vocabulary, R rows of the head.

Source: the formula is Lumina-mGPT's (`loss + 1e-5 * mean(logsumexp²)`); computing gradients going forward is Liger Kernel's.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.lm.batches import Batch
from pipeline.errors import VerificationError
from pipeline.samples import IGNORE_INDEX

CHUNK_LOGITS = 1 << 24  # at once: 64 MiB; on a CPU smaller chunks were slower, for each adds once to the head's whole gradient


@dataclass(frozen=True, slots=True)
class Loss:
    """What a batch adds to the loss of its step."""

    total: Tensor  # scalar with a gradient: what is minimised
    cross_entropy: Tensor  # scalar: its first part; the mean over loss tokens where the batch is the whole step
    z: Tensor  # scalar: squared log-partition, without its weight, in the same mean
    token_losses_N: Tensor  # cross entropy of each loss token
    tasks_N: Tensor  # index into the batch's tasks


def batch_loss(
    hidden_BTD: Tensor,
    head_VD: Tensor,
    batch: Batch,
    *,
    z_loss: float,
    image_ids: Tensor | None = None,
    step_weight: float | None = None,
    learned: tuple[Tensor, Tensor] | None = None,
) -> Loss:
    """The loss of a batch.

    Args:
        hidden_BTD: Its dtype is that of the matrix products; everything else is float32.
        head_VD: The rows of the head, float32.
        z_loss: Weight of the mean squared log-partition.
        image_ids: What may stand in an image behind start-of-image; None leaves images unrestricted.
        step_weight: `Batch.weight` of the whole step, of which this batch is a part; None where it is the whole.
        learned: Where the head is frozen but for some rows: their ids [L], and the parameter [L, D] that their gradient goes to. Their
            values must stand in the head, too. With `image_ids`, the ids are these.
    """
    takes_loss = batch.targets_BT != IGNORE_INDEX
    hidden, targets = hidden_BTD[takes_loss], batch.targets_BT[takes_loss]
    in_image = batch.in_image_BT[takes_loss] if image_ids is not None else torch.zeros_like(targets, dtype=torch.bool)
    rows = image_ids if image_ids is not None else targets[:0]
    shares = batch.weights_BT[takes_loss] / (step_weight if step_weight is not None else batch.weight or 1.0)
    total, token_losses, log_partitions = _ChunkedLoss.apply(
        hidden, head_VD, targets, in_image, rows, shares, z_loss, torch.is_grad_enabled(), *(learned or (None, None))
    )
    cross_entropy, z = (token_losses * shares).sum(), (log_partitions.square() * shares).sum()
    return Loss(total, cross_entropy, z, token_losses, batch.tasks_BT[takes_loss])


def image_token_ids(codes: tuple[int, ...], sizes: tuple[int, ...], end_of_row: int, end_of_image: int) -> Tensor:
    """[R] int64, ascending: every id that can stand in an image behind start-of-image."""
    return torch.tensor(sorted({*codes, *sizes, end_of_row, end_of_image}))


class _ChunkedLoss(torch.autograd.Function):
    """(loss, [N] cross entropies, [N] log-partitions); only the loss has a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        head_VD: Tensor,
        targets_N: Tensor,
        restricted_N: Tensor,
        rows_R: Tensor,
        shares_N: Tensor,
        z_loss: float,
        wants: bool,
        learned_L: Tensor | None,
        learned_LD: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        N = len(targets_N)
        losses, log_partitions = (torch.empty(N, dtype=torch.float32, device=hidden_ND.device) for _ in range(2))
        grad_hidden = torch.zeros_like(hidden_ND) if wants and ctx.needs_input_grad[0] else None
        trained = learned_LD if learned_LD is not None else head_VD if ctx.needs_input_grad[1] else None
        grad_head = torch.zeros_like(trained, dtype=torch.float32) if wants and trained is not None else None
        for restricted in (False, True):
            places = (restricted_N == restricted).nonzero()[:, 0]
            if not len(places):
                continue
            head, targets = head_VD, targets_N
            if restricted:
                head = head_VD[rows_R]
                targets = _places(rows_R, targets_N, places)
            grad = torch.zeros_like(head, dtype=torch.float32) if restricted and grad_head is not None else grad_head
            head = head.to(hidden_ND.dtype)
            for chunk in places.split(max(1, CHUNK_LOGITS // len(head))):
                hidden = hidden_ND[chunk]
                logits = (hidden @ head.T).float()
                target = targets[chunk, None]
                target_logit = logits.gather(1, target)
                highest = logits.amax(1, keepdim=True)
                weights = logits.sub_(highest).exp_()  # in place, and once for the sum and the gradient: logsumexp would do it over again
                partition = weights.sum(1, keepdim=True)
                log_partition = partition.log() + highest
                losses[chunk] = (log_partition - target_logit)[:, 0]
                log_partitions[chunk] = log_partition[:, 0]
                if wants:
                    share = shares_N[chunk, None]
                    slope = weights.mul_((1 + 2 * z_loss * log_partition) * share / partition)
                    slope.scatter_add_(1, target, -share)
                    slope = slope.to(hidden.dtype)
                    if grad_hidden is not None:
                        grad_hidden[chunk] = slope @ head
                    if grad is None:
                        continue
                    if learned_L is not None and not restricted:
                        slope = slope[:, learned_L]
                    if slope.dtype == grad.dtype:
                        grad.addmm_(slope.T, hidden)
                    else:
                        grad += slope.T @ hidden
            if restricted and grad_head is not None and grad is not None:
                grad_head[rows_R if learned_L is None else slice(None)] += grad
        if wants:
            ctx.save_for_backward(grad_hidden, grad_head)
        ctx.mark_non_differentiable(losses, log_partitions)
        return ((losses + z_loss * log_partitions.square()) * shares_N).sum(), losses, log_partitions

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_head = (None if grad is None else grad * grad_loss for grad in ctx.saved_tensors)
        of_rows = ctx.needs_input_grad[9]
        return grad_hidden, None if of_rows else grad_head, *(None,) * 7, grad_head if of_rows else None


def _places(rows_R: Tensor, targets_N: Tensor, restricted: Tensor) -> Tensor:
    """[N] where each target stands among the rows; those that are not restricted may stand anywhere."""
    found = torch.searchsorted(rows_R, targets_N).clamp_max(len(rows_R) - 1)
    foreign = restricted[rows_R[found[restricted]] != targets_N[restricted]]
    if len(foreign):
        raise VerificationError(f"id {int(targets_N[foreign[0]])} stands in an image of the token shards, and cannot")
    return found
