"""A codebook that follows the encoder: k-means at the start, moving averages after that, dead codes begun anew.

Shapes: N vectors of D numbers, K codes.

Source: van den Oord et al. 1711.00937, appendix A.1 (moving averages); Dhariwal et al. 2005.00341, section 3.1 (random restarts).
"""

import torch
from torch import Tensor

from tokenizer.vq.fitting.options import CodebookOptions
from tokenizer.vq.network import Codebook


def kmeans(z_ND: Tensor, book: Codebook, rounds: int, generator: torch.Generator) -> None:
    """Put the codes where the vectors lie.

    Args:
        z_ND: More vectors than codes, or some codes share a place for a start.
        book: Changed in place.
        rounds: Of assignment and mean.
        generator: On the CPU; picks the first places, and new ones for codes that nobody chose.
    """
    weight = book.embedding.weight
    weight.data.copy_(_pick(z_ND, len(weight), generator))
    for _ in range(rounds):
        codes = book.nearest(z_ND)
        counts, sums = _totals(z_ND, codes, len(weight))
        means = sums / counts.clamp(min=1)[:, None]
        weight.data.copy_(torch.where((counts > 0)[:, None], means, _pick(z_ND, len(weight), generator)))


class CodebookAverages:
    """The moving averages behind a codebook: how often a code is used, and the sum of the vectors that use it.

    Args:
        book: Its vectors are where the averages start; changed in place by `update` and `revive`.
        options: Decay and the bound for dead codes.
        vectors_a_step: Expected, so that a code starts with the mean use.
    """

    def __init__(self, book: Codebook, options: CodebookOptions, vectors_a_step: int):
        self.book = book
        self.options = options
        self.mean_use = vectors_a_step / book.embedding.num_embeddings
        self.counts_K = torch.full((book.embedding.num_embeddings,), self.mean_use, device=book.embedding.weight.device)
        self.sums_KD = book.embedding.weight.detach().clone() * self.mean_use

    def update(self, z_ND: Tensor, codes_N: Tensor) -> None:
        """Follow one batch; where the optimizer moves the codebook, only count."""
        counts, sums = _totals(z_ND, codes_N, len(self.counts_K))
        self.counts_K.lerp_(counts, 1 - self.options.decay)
        if self.options.update == "gradient":
            return
        self.sums_KD.lerp_(sums, 1 - self.options.decay)
        self.book.embedding.weight.data.copy_(self.sums_KD / self.counts_K.clamp(min=1e-6)[:, None])

    def revive(self, z_ND: Tensor, generator: torch.Generator) -> int:
        """Move codes that hardly anybody uses to vectors of this batch.

        Returns:
            How many were dead.
        """
        dead = (self.counts_K < self.options.dead_below * self.mean_use).nonzero()[:, 0]
        places = _pick(z_ND, len(dead), generator)
        self.counts_K[dead] = self.mean_use
        self.sums_KD[dead] = places * self.mean_use
        self.book.embedding.weight.data[dead] = places
        return len(dead)


def _totals(z_ND: Tensor, codes_N: Tensor, num_codes: int) -> tuple[Tensor, Tensor]:
    """How many vectors each code has [K], and their sum [K, D]."""
    counts = torch.bincount(codes_N, minlength=num_codes).float()
    return counts, z_ND.new_zeros(num_codes, z_ND.shape[1]).index_add_(0, codes_N, z_ND)


def _pick(z_ND: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Vectors at random, each at most once as long as there are enough."""
    order = torch.randperm(len(z_ND), generator=generator)
    return z_ND[order.repeat(-(-count // max(1, len(order))))[:count].to(z_ND.device)]
