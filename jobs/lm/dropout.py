"""Residual dropout, which transformers' Chameleon leaves out: on what attention and MLP add to the residual stream; and that of LoRA.

Its noise is a function of (seed, step, place of the window in the global batch, branch): a resumed run draws what an undisturbed one would
have drawn, on any number of ranks, and an activation that is computed a second time loses the same values.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from jobs.lm.model import LanguageModel
from pipeline.dice import dice


class ResidualDropout:
    """Dropout put on a model; `seed_step` comes before each forward, and it acts while the model is in training mode."""

    def __init__(self, model: LanguageModel, share: float, seed: int):
        self._seed = seed
        self._num_branches = 2 * len(model.model.layers)
        self._generator = torch.Generator(model.device)
        self._step = 0
        self._places: Sequence[int] = ()
        for number, layer in enumerate(model.model.layers if share else ()):
            ends = (layer.input_layernorm, layer.post_attention_layernorm) if model.config.swin_norm else (layer.self_attn, layer.mlp)
            for branch, module in enumerate(ends):
                module.register_forward_hook(partial(self._drop, 2 * number + branch, share))

    def cover(self, modules: Iterable[nn.Module], share: float) -> None:
        """Drop from other modules' outputs, too.

        Args:
            modules: In an order that is always the same.
            share: In [0, 1).
        """
        for module in modules if share else ():
            module.register_forward_hook(partial(self._drop, self._num_branches, share))
            self._num_branches += 1

    def seed_step(self, step: int, places: Sequence[int]) -> None:
        """Say what comes next.

        Args:
            places: Of the batch's rows among all windows of the step.
        """
        self._step, self._places = step, places

    def _drop(
        self, branch: int, share: float, module: nn.Module, _: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]
    ) -> Tensor | tuple[Tensor, ...]:
        if not module.training:
            return output
        first = output if isinstance(output, Tensor) else output[0]
        rows = []
        for place in self._places:
            self._generator.manual_seed(dice(self._seed, f"{self._step}\0{place}\0{branch}", "dropout").getrandbits(63))
            rows.append(torch.rand(first.shape[1:], generator=self._generator, device=first.device))
        first = first * (torch.stack(rows) >= share) / (1 - share)
        return first if isinstance(output, Tensor) else (first, *output[1:])
