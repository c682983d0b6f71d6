"""Which sequences an epoch takes, by task: a pure function of (lengths, tasks, quotas, seed, epoch).

    text_to_image   | pass 0: all of them, shuffled | pass 1: shuffled anew | ...       an endless stream a task
                    | epoch 0 | epoch 1 | epoch 2 | epoch 3 | epoch 4 | ...             an epoch takes the next quota of it
    text_only       | pass 0 | pass 1 | pass 2 | ...
                    | epoch 0           | epoch 1           | ...                       a quota of more than a pass repeats

So a quota below a pass takes other sequences in each epoch until all had their turn, and after any number of epochs no sequence of a task
was taken more than once oftener than another. Quotas count sequences, or tokens; by tokens a sequence belongs to the epoch that it begins
in, so an epoch is off by less than one sequence, and what one has too many the next has too few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from jobs.lm.options import TrainOptions
from jobs.lm.shuffle import permutation, word
from pipeline.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a task an epoch takes."""

    task: str
    code: int  # of the task in `Mixture.tasks_N`
    amount: Fraction  # sequences, or tokens, an epoch


@dataclass(frozen=True, slots=True)
class Mixture:
    """What epochs are drawn from."""

    lengths_N: np.ndarray  # tokens of each sequence
    tasks_N: np.ndarray  # code of each sequence's task
    quotas: tuple[Quota, ...]  # all above 0
    by_tokens: bool  # quotas count tokens, not sequences
    seed: int

    @property
    def is_steady(self) -> bool:
        """Whether every epoch takes the same: whole passes of each task."""
        return all(quota.amount % self.pass_size(quota) == 0 for quota in self.quotas)

    def counts(self) -> np.ndarray:
        """[L] how many sequences of each length (the index) may ever be drawn, each counted once."""
        drawn = np.isin(self.tasks_N, [quota.code for quota in self.quotas])
        return np.bincount(self.lengths_N[drawn])

    def draw(self, epoch: int) -> np.ndarray:
        """[M] uint32, the numbers of an epoch's sequences; one comes more than once where a quota is more than a pass."""
        return np.concatenate([self._take(quota, epoch) for quota in self.quotas])

    def pass_size(self, quota: Quota) -> int:
        """All that there is of a quota's task: sequences, or tokens."""
        members = self._members(quota)
        return int(self.lengths_N[members].sum(dtype=np.int64)) if self.by_tokens else len(members)

    def _take(self, quota: Quota, epoch: int) -> np.ndarray:
        members = self._members(quota)
        size = self.pass_size(quota)
        begin, end = ceil(epoch * quota.amount), ceil((epoch + 1) * quota.amount)
        taken = [members[:0]]
        for number in range(begin // size, -(-end // size)):
            low, high = max(begin - number * size, 0), min(end - number * size, size)
            if (low, high) == (0, size):
                taken.append(members)
                continue
            shuffled = members[permutation(len(members), self.seed, word(f"pass\0{quota.task}"), number)]
            if self.by_tokens:
                lengths = self.lengths_N[shuffled].astype(np.int64)
                low, high = np.searchsorted(np.cumsum(lengths) - lengths, [low, high]).tolist()
            taken.append(shuffled[low:high])
        return np.concatenate(taken)

    def _members(self, quota: Quota) -> np.ndarray:
        return np.flatnonzero(self.tasks_N == quota.code).astype(np.uint32)


def everything(lengths: np.ndarray, seed: int) -> Mixture:
    """Every sequence in each epoch once."""
    tasks = np.broadcast_to(np.int16(0), len(lengths))
    return Mixture(lengths, tasks, (Quota("", 0, Fraction(len(lengths))),) if len(lengths) else (), False, seed)


def make_mixture(options: TrainOptions, lengths: np.ndarray, tasks: np.ndarray, names: Sequence[str], seed: int) -> Mixture:
    """What `[train.mixture]` asks for.

    Args:
        lengths: [N] tokens of each sequence that is trained on.
        tasks: [N] the place of each one's task in `names`.

    Raises:
        RecipeError: It names a task that is not there or has no sequence, leaves one out that needs a share, or leaves nothing.
    """
    if not options.mixture:
        return everything(lengths, seed)
    present = {names[code]: code for code in np.unique(tasks).tolist()}
    known = ", ".join(sorted(present))
    for task, weight in options.mixture.items():
        if task not in present and weight:
            raise RecipeError(f"train.mixture: there is no sequence of task {task!r} to train on; there are {known}")
    if options.mixture_by == "each":
        weights = {task: Fraction(str(options.mixture.get(task, 1))) for task in present}
        amounts = {task: weight * int((tasks == present[task]).sum()) for task, weight in weights.items()}
    else:
        missing = sorted(present.keys() - options.mixture.keys())
        if missing:
            raise RecipeError(f"train.mixture: by {options.mixture_by}, every task wants a share, 0 leaves it out; {missing[0]!r} has none")
        shares = {task: Fraction(str(options.mixture[task])) for task in present}
        chosen = np.isin(tasks, [present[task] for task, share in shares.items() if share])
        size = options.epoch_size or int(lengths[chosen].sum(dtype=np.int64) if options.mixture_by == "tokens" else chosen.sum())
        amounts = {task: Fraction(amount) for task, amount in apportion(shares, size).items()}
    quotas = tuple(Quota(task, present[task], amount) for task, amount in sorted(amounts.items()) if amount)
    if not quotas:
        raise RecipeError(f"train.mixture: it leaves nothing to train on; there are {known}")
    return Mixture(lengths, tasks, quotas, options.mixture_by == "tokens", seed)


def apportion(shares: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Whole numbers that add up to `total`, by the method of the largest remainder."""
    whole = sum(shares.values())
    exact = {name: share * total / whole for name, share in shares.items()}
    amounts = {name: int(value) for name, value in exact.items()}
    nearest = sorted(exact, key=lambda name: (amounts[name] - exact[name], name))
    for name in nearest[: total - sum(amounts.values())]:
        amounts[name] += 1
    return amounts
