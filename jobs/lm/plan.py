"""Which sequences go into which window of which step: a pure function of (lengths, window, seed, epoch).

    epoch 0          epoch 1
    | w w w w w w w w | w w w w w ...      windows in order; a step takes the next `batch_size` of them, across the border of epochs
    | step 0  | step 1  | step 2  ...

Sequences are shuffled and packed whole, best fit first, into a few open windows; no tail is dropped, and all that a resumed run needs to
know is the number of its step.
"""

from functools import lru_cache

import numpy as np

from pipeline.errors import RecipeError

OPEN_WINDOWS = 64  # among which a sequence seeks its place: more saved less than 1 % of padding

Window = tuple[int, ...]  # the numbers of its sequences, in order


class Plan:
    """The windows of all epochs.

    Args:
        lengths: [N] tokens of each sequence that is trained on.
        window: Tokens of a window; 0 takes the longest sequence.

    Raises:
        RecipeError: There is no sequence, or one that does not fit.
    """

    def __init__(self, lengths: np.ndarray, window: int, batch_size: int, seed: int):
        if not len(lengths):
            raise RecipeError("train: there is no sequence to train on")
        longest = int(lengths.max())
        if window and longest > window:
            count = int((lengths > window).sum())
            raise RecipeError(f"train.window: {count} sequences are longer than {window} tokens, and none is cut; set 0 or {longest}")
        self.window = window or longest
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self._epoch = lru_cache(maxsize=2)(self._pack)
        self._starts = [0]

    def step(self, step: int) -> tuple[tuple[int, Window], ...]:
        """The windows of a step (from 0), each with its epoch."""
        first = step * self.batch_size
        epoch = 0
        while first >= self._first_of(epoch + 1):
            epoch += 1
        place = first - self._first_of(epoch)
        windows: list[tuple[int, Window]] = []
        while len(windows) < self.batch_size:
            if place == self.num_windows(epoch):
                epoch, place = epoch + 1, 0
            windows.append((epoch, self._epoch(epoch)[place]))
            place += 1
        return tuple(windows)

    def windows(self, epoch: int) -> list[Window]:
        """An epoch's windows, in order."""
        return self._epoch(epoch)

    def num_windows(self, epoch: int) -> int:
        return len(self._epoch(epoch))

    def padding(self, epoch: int) -> float:
        """The share of an epoch's positions that hold no token."""
        return 1 - int(self.lengths.sum()) / (self.num_windows(epoch) * self.window)

    def _first_of(self, epoch: int) -> int:
        """Number of an epoch's first window, counted from the first epoch's."""
        while len(self._starts) <= epoch:
            self._starts.append(self._starts[-1] + self.num_windows(len(self._starts) - 1))
        return self._starts[epoch]

    def _pack(self, epoch: int) -> list[Window]:
        rng = np.random.default_rng([self.seed, epoch])
        windows = pack(self.lengths, rng.permutation(len(self.lengths)), self.window)
        return [windows[place] for place in rng.permutation(len(windows))]  # else those that never filled up would all come last


def pack(lengths: np.ndarray, order: np.ndarray, window: int) -> list[Window]:
    """Put whole sequences into windows.

    Each goes where it leaves the least room, among at most OPEN_WINDOWS open ones; where it fits nowhere, the fullest is closed.

    Args:
        lengths: [N] tokens, none above `window`.
        order: [M] numbers of sequences.
    """
    closed: list[Window] = []
    room = np.full(OPEN_WINDOWS, window, np.int64)
    held: list[list[int]] = [[] for _ in range(OPEN_WINDOWS)]
    for number, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        left = room - length
        place = int(np.where(left < 0, np.iinfo(np.int64).max, left).argmin())
        if left[place] < 0:
            place = int(room.argmin())
            closed.append(tuple(held[place]))
            held[place], room[place] = [], window
        held[place].append(number)
        room[place] -= length
    closed += [tuple(numbers) for numbers in held if numbers]
    return closed
