"""What is counted while training: losses by task, tokens and images a second, the share of the peak, waiting and memory."""

import hashlib
import math
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.lm.batches import Batch
from jobs.lm.flops import Work
from jobs.lm.loss import Loss
from jobs.lm.parallel import Ranks
from pipeline.samples import IGNORE_INDEX

SECONDS_BETWEEN_LINES = 10.0
COUNTED = ("loss", "cross_entropy", "z", "tokens", "positions")


class Tally:
    """Sums over parts of a batch, and over ranks; nothing waits for the device before `summed`."""

    def __init__(self, tasks: Sequence[str]):
        self._tasks = tuple(tasks)
        self._parts: list[tuple[Batch, Loss]] = []

    def add(self, batch: Batch, loss: Loss) -> None:
        """One part, which must have been computed."""
        self._parts.append((batch, loss))

    def summed(self, ranks: Ranks) -> "Totals":
        """All ranks must call this together."""
        tasks = torch.zeros(2, len(self._tasks), dtype=torch.float64)
        counted = torch.zeros(len(COUNTED), dtype=torch.float64)
        for batch, loss in self._parts:
            places = torch.tensor([self._tasks.index(task) for task in batch.tasks], dtype=torch.int64)
            of_loss, num = loss.tasks_N.cpu(), len(batch.tasks)
            tasks[0, places] += torch.bincount(of_loss, weights=loss.token_losses_N.cpu().double(), minlength=num)[:num]
            tasks[1, places] += torch.bincount(of_loss, minlength=num)[:num].double()
            values = (loss.total.item(), loss.cross_entropy.item(), loss.z.item(), batch.num_tokens, batch.ids_BT.numel())
            counted += torch.tensor(values, dtype=torch.float64)
        flat = ranks.sum(torch.cat([counted, tasks.flatten()]))
        sums, counts = flat[len(COUNTED) :].reshape(2, -1).tolist()
        values = dict(zip(COUNTED, flat[: len(COUNTED)].tolist(), strict=True))
        by_task = {task: (total, int(count)) for task, total, count in zip(self._tasks, sums, counts, strict=True) if count}
        return Totals(values["loss"], values["cross_entropy"], values["z"], int(values["tokens"]), int(values["positions"]), by_task)


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one step over all ranks."""

    loss: float  # what was minimised
    cross_entropy: float  # its first part
    z: float  # its second part, without the weight
    num_tokens: int  # that are not padding
    num_positions: int  # with padding
    by_task_sums: dict[str, tuple[float, int]]  # cross entropy and loss tokens

    @property
    def num_loss_tokens(self) -> int:
        return sum(count for _, count in self.by_task_sums.values())

    def mean(self) -> float:
        """Cross entropy of a loss token."""
        return sum(total for total, _ in self.by_task_sums.values()) / max(self.num_loss_tokens, 1)

    def by_task(self) -> dict[str, float]:
        """Cross entropy of a loss token."""
        return {task: total / count for task, (total, count) in self.by_task_sums.items()}


class Clock:
    """Rates between two lines of the log; evaluation and saving do not count.

    Args:
        peak: Floating point operations a second that one rank's device can do; 0: not known.
    """

    def __init__(self, work: Work, peak: float):
        self._work = work
        self._peak = peak
        self._spoke = -math.inf
        self.restart()

    def restart(self) -> None:
        """Begin a new span."""
        self._started = time.monotonic()
        self._waited = 0.0
        self._counts = torch.zeros(4, dtype=torch.float64)

    def count(self, batches: Iterable[Batch], waited: float) -> None:
        """Add one step.

        Args:
            waited: Seconds that its batches took to be there.
        """
        self._waited += waited
        for batch in batches:
            num_loss_tokens = int((batch.targets_BT != IGNORE_INDEX).sum())
            self._counts += torch.tensor([batch.num_tokens, batch.num_images, batch.num_pairs, num_loss_tokens], dtype=torch.float64)

    def rates(self, ranks: Ranks) -> dict[str, Any]:
        """For a line of the log. All ranks must call this together."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        tokens, images, pairs, loss_tokens = (ranks.sum(self._counts) / seconds).tolist()
        mfu = {"mfu": self._work.flops(tokens, pairs, loss_tokens) / (self._peak * ranks.size)} if self._peak else {}
        return mfu | {
            "tokens_per_second": tokens,
            "images_per_second": images,
            "data_wait": self._waited / seconds,
            "memory_bytes": peak_memory(),
        }

    def speak(self) -> bool:
        """Whether it is time for a line on the terminal."""
        now = time.monotonic()
        if now - self._spoke < SECONDS_BETWEEN_LINES:
            return False
        self._spoke = now
        return True


def peak_memory() -> int:
    """Bytes: the most that was allocated on the GPU, or without one the most that the process held."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def keys_digest(batches: Iterable[Batch], num_windows: int, ranks: Ranks) -> str:
    """sha256 over the keys of a whole step, window by window in the global batch's order: the same on any number of ranks.

    Args:
        num_windows: Of the global batch.
    """
    own = [hashlib.sha256("\0".join(keys).encode("utf-8", "surrogatepass")).digest() for batch in batches for keys in batch.keys]
    rows = torch.zeros(-(-num_windows // ranks.size), 32, dtype=torch.uint8)
    for row, digest in enumerate(own[: len(rows)]):
        rows[row] = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
    gathered: Tensor = ranks.interleave(rows)[:num_windows]
    return hashlib.sha256(gathered.numpy().tobytes()).hexdigest()
