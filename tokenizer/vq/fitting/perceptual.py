"""The perceptual term: how far two pictures are apart in the eyes of a trained network.

Shapes: B pictures, 3 channels, H x W pixels in [-1, 1]; features [B, C, h, w] of several stages.

Source: Zhang et al. 1801.03924, section 3 (features of unit length, compared place by place); Esser et al. 2012.09841 (in a VQGAN's loss).
"""

import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import RecipeError
from tokenizer.vq.fitting.options import PerceptualOptions

EPS = 1e-6  # under the root: a feature vector of zeros has no direction


class Features(nn.Module):
    """The first stages of a network of timm, frozen.

    Raises:
        RecipeError: timm is not installed, or has no such network, weights or stages.
    """

    def __init__(self, options: PerceptualOptions):
        super().__init__()
        try:
            import timm
            from timm.data import resolve_data_config  # type: ignore[attr-defined]
        except ImportError as error:
            raise RecipeError("fit.perceptual: kind 'features' wants timm: pip install 'mgpt[fit]'") from error
        logging.getLogger("timm.models._builder").setLevel(logging.ERROR)  # it warns of the stages that are left out
        try:
            network: Any = timm.create_model(options.model, pretrained=True, features_only=True, out_indices=options.out_indices)
        except (RuntimeError, ValueError, OSError, IndexError, AssertionError) as error:
            raise RecipeError(f"fit.perceptual.model: timm cannot load {options.model!r} with these stages: {error}") from error
        self.network = network
        self.channels: list[int] = network.feature_info.channels()
        config = resolve_data_config({}, model=network)
        mean, std = (torch.tensor(config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", 0.5 / std)
        self.register_buffer("shift", (0.5 - mean) / std)
        self.eval().requires_grad_(False)

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Features of each stage, in float32."""
        return [stage.float() for stage in self.network(x_BCHW * self.scale + self.shift)]


def feature_distance(output: list[Tensor], target: list[Tensor]) -> Tensor:
    """Mean over stages of the mean squared distance between feature vectors of unit length; from 0 to 4."""
    distances = [(F.normalize(a, eps=EPS) - F.normalize(b, eps=EPS)).square().sum(1).mean() for a, b in zip(output, target, strict=True)]
    return torch.stack(distances).mean()


class Lpips(nn.Module):
    """LPIPS as torchmetrics has it; torchvision fetches the backbone's weights, or finds them in its cache.

    Raises:
        RecipeError: The weights can neither be found nor fetched.
    """

    def __init__(self, options: PerceptualOptions):
        super().__init__()
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        try:
            self.metric = LearnedPerceptualImagePatchSimilarity(net_type=options.model)  # type: ignore[arg-type]
        except OSError as error:  # URLError is one
            where = f"{torch.hub.get_dir()}/checkpoints"
            reason = f"the weights of '{options.model}' are not in {where} and could not be fetched: {error}"
            raise RecipeError(f"fit.perceptual: {reason}") from error
        self.eval().requires_grad_(False)

    def forward(self, output_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
        """Mean distance, a number."""
        return self.metric.net(output_BCHW.clamp(-1, 1), target_BCHW).mean()
