"""Several processes that train one model: `python`, `torchrun` and Ray Train start the same code.

    torchrun --nproc-per-node 8 -m jobs train RECIPE       one process a GPU, nccl; without GPUs gloo
    python -m jobs train RECIPE                            one process, nothing is sharded
    python -m jobs train RECIPE --set train.processes=16   on a Ray cluster: jobs/ray_train.py

    global batch   w0 w1 w2 w3 w4 w5 ...       rank r of R takes the windows r, r+R, r+2R ...
    parameters     rows, in R equal parts      FSDP2: gathered layer by layer as they are needed, in forward and in backward

Small sums (counts of tokens, figures for the log) go over gloo between the hosts' memories and never make a GPU wait.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from jobs.lm.model import LanguageModel, choose_device

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together; by default it is alone."""

    rank: int = 0
    size: int = 1
    mesh: DeviceMesh | None = None  # of all ranks; None: alone
    host: dist.ProcessGroup | None = None  # of all ranks, over gloo; None: alone

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share(self, rows: Sequence[Row]) -> Sequence[Row]:
        """This rank's part of what all ranks have in the same order."""
        return rows[self.rank :: self.size]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks of a tensor on the CPU."""
        if self.host is not None:
            values = values.clone()
            dist.all_reduce(values, group=self.host)
        return values

    def interleave(self, rows: Tensor) -> Tensor:
        """What `share` took apart, put together again.

        Args:
            rows: [N, ...] on the CPU; N is the same on all ranks.

        Returns:
            [N * size, ...], the first row of every rank, then the second ...
        """
        if self.host is None:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.contiguous(), group=self.host)
        return torch.stack(parts, 1).flatten(0, 1)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.host is not None:
            dist.barrier(group=self.host)


ALONE = Ranks()


@contextmanager
def open_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that the launcher started; whoever was started alone is alone.

    Args:
        device: As in `train.device`.
    """
    begun = dist.is_initialized()  # by Ray Train
    size = dist.get_world_size() if begun else int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    kind = choose_device(device).type
    if kind == "cuda" and not begun:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    if not begun:
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    yield Ranks(dist.get_rank(), size, init_device_mesh(kind, (size,)), dist.new_group(backend="gloo"))
    if not begun:  # not after an error: the others may hang in a collective, and the launcher ends them
        dist.destroy_process_group()


def shard_model(model: LanguageModel, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """Divide a model's parameters among all ranks, in place.

    Layers are gathered in `dtype`; embedding, last norm and head stay float32, for the residual stream and the loss are. Gradients are
    summed in float32. The root's parameters stay gathered from its forward to its backward: the loss reads the head in between.
    """
    layers = MixedPrecisionPolicy(
        param_dtype=dtype if dtype != torch.float32 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=layers)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)


def release(model: LanguageModel) -> None:
    """After a forward without a backward: let go of what a sharded model's root has gathered, so that its parameters are sharded again."""
    if isinstance(model, FSDPModule):
        model.reshard()


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be sharded, gathered. All ranks must call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_rows(tensor: Tensor) -> tuple[slice, Tensor]:
    """Which rows of the whole tensor lie on this rank, and these rows, to be written to."""
    if not isinstance(tensor, DTensor):
        return slice(None), tensor
    local = tensor.to_local()
    start = min(-(-tensor.shape[0] // tensor.device_mesh.size()) * tensor.device_mesh.get_local_rank(), tensor.shape[0])
    return slice(start, start + len(local)), local
