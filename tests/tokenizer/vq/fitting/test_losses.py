"""What the pixel terms punish, and what they let pass."""

import pytest
import torch

from tokenizer.vq.fitting.losses import reconstruction_loss
from tokenizer.vq.fitting.options import LossWeights


def test_equal_pictures_have_no_loss_and_a_blur_has_more_than_its_error():
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    flat = x.mean((2, 3), keepdim=True).expand_as(x)
    pixels_alone = LossWeights(coarse=0, gradient=0, energy=0)
    assert float(reconstruction_loss(x, x, LossWeights())) == 0
    error = (flat - x).abs().mean() + (flat - x).square().mean()
    assert float(reconstruction_loss(flat, x, pixels_alone)) == pytest.approx(float(error), rel=1e-5)
    coarse_alone = LossWeights(l1=0, l2=0, coarse=1, gradient=0, energy=0)
    assert float(reconstruction_loss(x + 0.25, x, coarse_alone)) == pytest.approx(0.25, rel=1e-4)
    tint = torch.tensor([0.25, -0.25, 0.25])[:, None, None]
    assert float(reconstruction_loss(x + tint, x, coarse_alone)) > 0.6
    shifted = x.flip(3)  # as much detail, elsewhere
    with_energy = LossWeights(l1=0, l2=0, coarse=0, gradient=0, energy=1)
    assert float(reconstruction_loss(shifted, x, with_energy)) < 0.3 * float(reconstruction_loss(flat, x, with_energy))
