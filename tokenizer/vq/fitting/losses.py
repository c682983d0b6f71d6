"""What a reconstruction is judged by, without any weights of another network.

The mean of what a code may stand for is a blur, and mean errors ask for just that. The energy term does not ask for the same detail at the
same place but for as much of it: a meadow shall stay rough, a sky smooth. The coarse term asks for the colour of areas, which the detail
would otherwise outvote: without it reds and greens came late.

Shapes: B pictures, 3 channels, H x W pixels in [-1, 1].
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from tokenizer.vq.fitting.options import LossWeights

NUM_SCALES = 3  # 1, 1/2 and 1/4 of the size
WINDOW = 8  # pixels a side over which detail is counted
COARSE = 8  # pixels a side over which colour is averaged
HUE = 2.0  # a wrong colour counts so much more than a wrong brightness in the coarse term
FLOOR = 1e-4  # under the root: differences of 1/100 of the range and below count little


def reconstruction_loss(output_BCHW: Tensor, target_BCHW: Tensor, weights: LossWeights) -> Tensor:
    """A number; 0 where both pictures are equal."""
    error = output_BCHW - target_BCHW
    loss = weights.l1 * error.abs().mean() + weights.l2 * error.square().mean()
    coarse = F.avg_pool2d(error, COARSE)
    loss = loss + weights.coarse * (coarse.abs().mean() + HUE * (coarse - coarse.mean(1, keepdim=True)).abs().mean())
    output, target = output_BCHW, target_BCHW
    for scale in range(NUM_SCALES):
        if scale:
            output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
        of_output, of_target = _differences(output), _differences(target)
        loss = loss + weights.gradient / NUM_SCALES * sum((a - b).abs().mean() for a, b in zip(of_output, of_target, strict=True))
        loss = loss + weights.energy / NUM_SCALES * (_energy(of_output) - _energy(of_target)).abs().mean()
    return loss


def _differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """Between neighbours in a column and in a row; the last row and column have none."""
    return x[:, :, 1:, :-1] - x[:, :, :-1, :-1], x[:, :, :-1, 1:] - x[:, :, :-1, :-1]


def _energy(differences: tuple[Tensor, Tensor]) -> Tensor:
    """The root of the mean square of differences in windows that overlap by half."""
    square = differences[0].square() + differences[1].square()
    window = min(WINDOW, *square.shape[2:])
    return torch.sqrt(F.avg_pool2d(square, window, (window + 1) // 2) + FLOOR)
