"""The adversarial term: a discriminator that tells decoded patches from real ones, and what it asks of the network.

    pixels      4 x 4 convolutions over the picture, a judgement for every patch of 70 x 70 pixels
    features    two convolutions over each stage of a frozen network's features, a judgement for every place
    both        one half of the judgement each

Every convolution has spectral norm 1, so that its judgements change slowly and one weight of the term fits all runs.

Shapes: B pictures, 3 channels, H x W pixels in [-1, 1]; features [B, C, h, w] of several stages; judgements above 0 say "real".

Source: Isola et al. 1611.07004 (patches); Sauer et al. 2111.01007 (features of a frozen network); Miyato et al. 1802.05957 (spectral norm);
Lim and Ye 1705.02894 (hinge loss).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of the leaky ReLU below 0


class Discriminator(nn.Module):
    """Judges pictures by their patches, by their features or by both.

    Args:
        patches: Judge patches of pixels.
        stage_channels: Channels of each stage whose features are judged; none where features are not.
        channels: Of each first layer.
    """

    def __init__(self, patches: bool, stage_channels: list[int], channels: int):
        super().__init__()
        self.patches = _patches(channels) if patches else None
        self.heads = nn.ModuleList(_head(width, channels) for width in stage_channels)

    def forward(self, x_BCHW: Tensor, features: list[Tensor]) -> list[list[Tensor]]:
        """Judgements in groups that weigh the same: of the patches, of each stage."""
        groups = [[head(feature).float() for head, feature in zip(self.heads, features, strict=True)]] if self.heads else []
        return groups if self.patches is None else [*groups, [self.patches(x_BCHW).float()]]


def discriminator_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Hinge loss: 0 where the real is judged above 1 and the decoded below -1."""
    return _mean(
        [[F.relu(1 - a).mean() + F.relu(1 + b).mean() for a, b in zip(*pair, strict=True)] for pair in zip(real, fake, strict=True)]
    )


def generator_loss(fake: list[list[Tensor]]) -> Tensor:
    """Falls as the decoded is taken for real."""
    return -_mean([[judgement.mean() for judgement in group] for group in fake])


def refresh_norms(discriminator: nn.Module) -> None:
    """One power iteration for every spectral norm; between two calls, threads may share the discriminator, which is in eval mode."""
    discriminator.train()
    with torch.no_grad():
        for module in discriminator.modules():
            if isinstance(module, nn.Conv2d):
                _ = module.weight
    discriminator.eval()


def _patches(channels: int) -> nn.Module:
    widths = [3, channels, channels * 2, channels * 4]
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [_conv(a, b, 4, stride=2 if i < 2 else 1, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, _conv(widths[-1], 1, 4, stride=1, padding=1))


def _head(width: int, channels: int) -> nn.Module:
    return nn.Sequential(_conv(width, channels, 3, stride=1, padding=1), nn.LeakyReLU(SLOPE), _conv(channels, 1, 3, stride=1, padding=1))


def _mean(groups: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(group).mean() for group in groups]).mean()


def _conv(in_channels: int, out_channels: int, size: int, stride: int, padding: int) -> nn.Module:
    module: nn.Module = spectral_norm(nn.Conv2d(in_channels, out_channels, size, stride, padding))
    return module
