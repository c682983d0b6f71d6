"""Residual dropout, which transformers' Chameleon leaves out: on what attention and MLP add to the residual stream.

Its noise is a function of (seed, step), so that a resumed run draws what an undisturbed one would have drawn.
"""

import torch
from torch import Tensor, nn

from jobs.lm.model import LanguageModel
from pipeline.dice import dice


class ResidualDropout:
    """Dropout put on a model; `seed_step` comes before each step, and it acts while the model is in training mode."""

    def __init__(self, model: LanguageModel, share: float, seed: int):
        self._share = share
        self._seed = seed
        self._generator = torch.Generator(model.device)
        for layer in model.model.layers if share else ():
            ends = (layer.input_layernorm, layer.post_attention_layernorm) if model.config.swin_norm else (layer.self_attn, layer.mlp)
            for module in ends:
                module.register_forward_hook(self._drop)

    def seed_step(self, step: int) -> None:
        self._generator.manual_seed(dice(self._seed, str(step), "dropout").getrandbits(63))

    def _drop(self, module: nn.Module, _: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        if not module.training:
            return output
        first = output if isinstance(output, Tensor) else output[0]
        kept = torch.rand(first.shape, generator=self._generator, device=first.device) >= self._share
        first = first * kept / (1 - self._share)
        return first if isinstance(output, Tensor) else (first, *output[1:])
