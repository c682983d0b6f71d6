"""Which sequences go into which window of which step: a pure function of (lengths, mixture, window, seed, epoch).

    epoch 0          epoch 1
    | w w w w w w w w | w w w w w ...      windows in order; a step takes the next `batch_size` of them, across the border of epochs
    | step 0  | step 1  | step 2  ...

No sequence is cut and none is left out, and all that a resumed run needs to know is the number of its step: with R processes the r-th takes
windows r, r + R, ... of a step, so another R gives the same steps in the same order.

An epoch of many sequences is made once, by whoever comes first, and mapped by all:

    OUTPUT/train/plans/epoch-0003-FINGERPRINT.arrow      one column, `sequences`: list<uint32>, a row a window

What is there stays: with it, a run that goes on in a later epoch need not plan the earlier ones again. It may be removed at any time.
"""

from bisect import bisect_right
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa

from jobs.lm.mixture import Mixture, everything
from jobs.lm.packing import Packing, deal, pack
from pipeline import paths
from pipeline.errors import RecipeError, VerificationError
from pipeline.shards.arrow_file import read_arrow, write_arrow

PLAN_VERSION = 1  # changes when the same arguments give other windows
SAVED_FROM = 100_000  # sequences; an epoch of fewer is planned sooner than it is read
PLANS_FOLDER = "plans"
PLAN_NAME = "epoch-{:04d}-{}.arrow"
SCHEMA = pa.schema([("sequences", pa.list_(pa.uint32()))])

Window = tuple[int, ...]  # the numbers of its sequences, in order


class Plan:
    """The windows of all epochs.

    Args:
        lengths: [N] tokens of each sequence that is trained on.
        window: Tokens of a window; 0 takes the longest sequence.
        mixture: Over the same sequences; none takes each of them in every epoch once.
        folder: Where epochs of many sequences are saved; empty saves none.
        fingerprint: In the names of saved epochs; of all that they depend on but the epoch.

    Raises:
        RecipeError: There is no sequence, or one that does not fit.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        window: int,
        batch_size: int,
        seed: int,
        *,
        mixture: Mixture | None = None,
        folder: str = "",
        fingerprint: str = "",
    ):
        self.mixture = mixture or everything(lengths, seed)
        counts = self.mixture.counts()
        if not counts.sum():
            raise RecipeError("train: there is no sequence to train on")
        longest = len(counts) - 1
        if window and longest > window:
            raise RecipeError(
                f"train.window: {counts[window + 1 :].sum()} sequences are longer than {window} tokens, and none is cut; "
                f"set 0 or {longest}, or train.drop_longer to leave them out"
            )
        self.window = window or longest
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self._folder = folder if len(lengths) >= SAVED_FROM else ""
        self._fingerprint = fingerprint
        self._epoch = lru_cache(maxsize=2)(self._open_or_make)
        self._packing = lru_cache(maxsize=2)(self._pack)
        self._starts = [0]

    def step(self, step: int) -> tuple[tuple[int, Window], ...]:
        """The windows of a step (from 0), each with its epoch."""
        epoch, place = self._locate(step * self.batch_size)
        windows: list[tuple[int, Window]] = []
        while len(windows) < self.batch_size:
            starts, sequences = self._epoch(epoch)
            if place == len(starts) - 1:
                epoch, place = epoch + 1, 0
                continue
            windows.append((epoch, tuple(sequences[starts[place] : starts[place + 1]].tolist())))
            place += 1
        return tuple(windows)

    def windows(self, epoch: int) -> list[Window]:
        """An epoch's windows, in order."""
        starts, sequences = self._epoch(epoch)
        edges = starts.tolist()
        return [tuple(sequences[start:stop].tolist()) for start, stop in pairwise(edges)]

    def num_windows(self, epoch: int) -> int:
        if self._folder and paths.exists(self._path(epoch)):
            return len(self._epoch(epoch)[0]) - 1
        return self.packing(epoch).num_windows

    def padding(self, epoch: int) -> float:
        """The share of an epoch's positions that hold no token."""
        return self.packing(epoch).padding

    def packing(self, epoch: int) -> Packing:
        """How an epoch's windows are made up of lengths."""
        return self._packing(0 if self._is_steady else epoch)

    def counts(self, epoch: int) -> np.ndarray:
        """[L] how many sequences of each length (the index) an epoch takes."""
        return np.bincount(self.lengths[self.mixture.draw(epoch)])

    @cached_property
    def _is_steady(self) -> bool:
        return self.mixture.is_steady

    def _locate(self, window: int) -> tuple[int, int]:
        """The epoch of a window, counted from the first epoch's, and its place there."""
        if self._is_steady:
            return divmod(window, self.num_windows(0))
        while self._starts[-1] <= window:
            self._starts.append(self._starts[-1] + self.num_windows(len(self._starts) - 1))
        epoch = bisect_right(self._starts, window) - 1
        return epoch, window - self._starts[epoch]

    def _pack(self, epoch: int) -> Packing:
        return pack(self.counts(epoch), self.window, self.seed)

    def _open_or_make(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """[W + 1] and [M]: window w of the epoch holds sequences[starts[w] : starts[w + 1]]."""
        if not self._folder:
            return self._make(epoch)
        path = self._path(epoch)
        if not paths.exists(path):
            starts, sequences = self._make(epoch)
            write_arrow(path, pa.table([pa.ListArray.from_arrays(pa.array(starts), pa.array(sequences))], schema=SCHEMA))
        table = read_arrow(path)
        if table.schema != SCHEMA or table["sequences"].num_chunks != 1:
            raise VerificationError(f"{path}: no plan; remove it, and it is made again")
        chunk = table["sequences"].chunk(0)
        return chunk.offsets.to_numpy(), chunk.values.to_numpy()

    def _make(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return deal(self.packing(epoch), self.lengths, self.mixture.draw(epoch), (self.seed, epoch))

    def _path(self, epoch: int) -> str:
        return paths.join(self._folder, PLAN_NAME.format(epoch, self._fingerprint))
