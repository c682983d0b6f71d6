"""The processes that fit one network together, as torchrun starts them; one process alone is rank 0 of 1.

Every rank holds the whole network and takes its share of a batch; sums over all ranks make the same step on each. (torch's wrapper for this
wants one backward pass from one `forward`; here encoder, decoder, discriminator and codebook have losses of their own.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """Who this process is."""

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> range:
        """The numbers out of `count` that this rank takes; the shares differ by one at most."""
        return range(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks, in one exchange."""
        if self.size > 1:
            flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
            dist.all_reduce(flat)
            for tensor, summed in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(summed.view_as(tensor))

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all ranks, in their order."""
        if self.size == 1:
            return rows
        counts = torch.zeros(self.size, dtype=torch.int64, device=rows.device)
        counts[self.rank] = len(rows)
        dist.all_reduce(counts)
        padded = rows.new_zeros(int(counts.max()), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts.tolist(), strict=True)])

    def first_s_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by that of rank 0."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


def join_ranks(device: torch.device) -> Ranks:
    """Meet the other processes where torchrun started this one."""
    if not dist.is_torchelastic_launched():
        return Ranks()
    if device.type == "cuda":
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size())


def leave_ranks(ranks: Ranks) -> None:
    """End what `join_ranks` began."""
    if ranks.size > 1:
        dist.destroy_process_group()
