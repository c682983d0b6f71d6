"""Among which ids the next token is drawn, and the draw.

    codes   the VQ's codes                                     in an image
    sizes   size tokens from 1 up                              behind start-of-image
    text    all but control tokens, end-of-turn, start-of-image    elsewhere

A draw is the argmax of logits / temperature + noise among the top k logits. Most often the argmax of all choices is one of the top k,
and then it is the answer: on a CPU the costly search for the k-th logit is left out until it is needed.

Shapes: N draws, C choices, D hidden size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jobs.lm.model import LanguageModel
from jobs.lm.noise import gumbel
from jobs.lm.sampling.decoder import times
from jobs.lm.sampling.upload import upload
from tokenizer.vocab import CONTROL_NAME, Vocab


@dataclass(frozen=True)
class Choices:
    """A set of ids, and the rows of the head that belong to them."""

    ids_C: Tensor  # int64
    head_CD: Tensor
    num_noise: int  # values of noise a position
    noise_C: Tensor | None  # which of them the choices take; None: the first ones

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """[N, C] float32, or float64 where the model is."""
        logits = times(hidden_ND.to(self.head_CD.dtype), self.head_CD)
        return logits if logits.dtype == torch.float64 else logits.float()

    def noise(self, seed: int, number: int, positions: Sequence[int]) -> Tensor:
        """[positions, C] float32."""
        noise = gumbel(seed, number, positions, self.num_noise)
        noise = noise if self.noise_C is None else noise[:, self.noise_C]
        return upload(noise, self.ids_C.device)


def code_choices(model: LanguageModel, vocab: Vocab, num_codes: int) -> Choices:
    """The noise of a code is drawn by the code."""
    return _choose(model, vocab.codes[:num_codes], num_codes, None)


def size_choices(model: LanguageModel, vocab: Vocab) -> Choices:
    """The choice n stands for n + 1 grids; its noise is drawn by n."""
    return _choose(model, vocab.sizes[1:], len(vocab.sizes) - 1, None)


def text_choices(model: LanguageModel, vocab: Vocab, names: Mapping[str, int]) -> Choices:
    """In the order of ids; the noise of an id is drawn by the id.

    Args:
        names: Every token's id by its name.
    """
    plain = {token_id for name, token_id in names.items() if not CONTROL_NAME.fullmatch(name)}
    ids = sorted(plain | {vocab.end_of_turn, vocab.start_of_image})
    return _choose(model, ids, vocab.size, torch.tensor(ids))


def _choose(model: LanguageModel, ids: Sequence[int], num_noise: int, noise_C: Tensor | None) -> Choices:
    ids_C = torch.from_numpy(np.asarray(ids, np.int64)).to(model.device)
    return Choices(ids_C, model.lm_head.weight.detach()[ids_C], num_noise, noise_C)


def draw(logits_NC: Tensor, noise_NC: Tensor, top_k_N: Tensor, temperature_N: Tensor) -> Tensor:
    """Choose among the `top_k` highest logits of each row; logits that equal the last of these count among them.

    Args:
        noise_NC: Gumbel noise.

    Returns:
        [N] int64, indices into C.
    """
    noisy_NC = torch.addcdiv(noise_NC.to(logits_NC.dtype), logits_NC, temperature_N[:, None].to(logits_NC.dtype))
    top_k_N = top_k_N.clamp(max=logits_NC.shape[1])
    if noisy_NC.device.type != "cpu":  # where looking costs a wait for the device
        lowest_N1 = logits_NC.sort(1, descending=True).values.gather(1, top_k_N[:, None] - 1)
        return noisy_NC.masked_fill(logits_NC < lowest_N1, -torch.inf).argmax(1)
    chosen_N = noisy_NC.argmax(1)
    above_N = (logits_NC > logits_NC.gather(1, chosen_N[:, None])).sum(1)
    for row in (above_N >= top_k_N).nonzero()[:, 0].tolist():
        logits_C = logits_NC[row]
        lowest = logits_C.kthvalue(len(logits_C) + 1 - int(top_k_N[row])).values
        chosen_N[row] = noisy_NC[row].masked_fill(logits_C < lowest, -torch.inf).argmax()
    return chosen_N
