"""How many sequences of each task are made of each sample, so that the run as a whole has the mixture that its recipe asks for.

Samples fall into classes by which tasks they can feed. Sequences are spread over the classes by iterative proportional fitting: rows are
scaled so that every sample is used as often as the others, columns so that the tasks have their shares; the columns have the last word.
Where too few samples can feed a task, its share falls short: a sample feeds it `max_repeats` times at most, and the other tasks keep their
proportions and share what it leaves.

Shapes: N samples, T tasks, C classes.
Source: W. E. Deming, F. F. Stephan, On a least squares adjustment of a sampled frequency table (1940).
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

Unit = Literal["samples", "tokens"]  # what weights count: sequences of a task, or their tokens
ROUNDS = 500
PRECISION = 1e-9  # of a column's sum, relative


def plan_mixture(
    keys: Sequence[str], tokens_NT: np.ndarray, weights: Sequence[float], *, unit: Unit, max_repeats: int, seed: int
) -> np.ndarray:
    """Who feeds what, as a function of the samples and the seed, whatever their order.

    Args:
        keys: [N]
        tokens_NT: Length of the sequence that a task would make of a sample; 0 where it cannot.
        weights: [T] sequences a sample on average; their proportions are the mixture, counted in `unit`.
        max_repeats: Sequences of one task and sample, at most 255.

    Returns:
        [N, T] uint8: how often a task is to use a sample.
    """
    draws_NT = np.zeros(tokens_NT.shape, np.uint8)
    usable = np.flatnonzero(tokens_NT.any(axis=1))
    if not len(usable):
        return draws_NT
    _, class_of = np.unique(np.packbits(tokens_NT[usable] > 0, axis=1), axis=0, return_inverse=True)
    class_of = class_of.reshape(-1)
    members = np.split(usable[np.argsort(class_of, kind="stable")], np.cumsum(np.bincount(class_of))[:-1])
    sizes_C = np.array([len(rows) for rows in members])
    lengths_CT = np.stack([tokens_NT[rows].mean(axis=0) for rows in members])
    counts_CT = spread(sizes_C, lengths_CT, np.array(weights, float), unit=unit, max_repeats=max_repeats)
    for rows, counts_T in zip(members, counts_CT, strict=True):
        order = sorted(rows.tolist(), key=lambda row: _place(keys[row], seed))
        laid = np.repeat(np.arange(len(counts_T)), counts_T)  # end to end, so that a task comes back to a sample as late as can be
        np.add.at(draws_NT, (np.resize(order, len(laid)), laid), 1)
    return draws_NT


def spread(sizes_C: np.ndarray, lengths_CT: np.ndarray, weights_T: np.ndarray, *, unit: Unit, max_repeats: int) -> np.ndarray:
    """Sequences by class and task.

    Args:
        sizes_C: Samples in each class.
        lengths_CT: Mean length of a sequence; 0 where the class cannot feed the task.

    Returns:
        [C, T] int
    """
    can_CT = lengths_CT > 0
    most_CT = can_CT * sizes_C[:, None] * float(max_repeats)
    mass_CT = np.where(can_CT, lengths_CT if unit == "tokens" else 1.0, 0.0)  # what one sequence counts
    there_T = can_CT.any(axis=0)
    shares_T = np.where(there_T, weights_T, 0.0) / weights_T[there_T].sum()
    counts_CT = np.where(can_CT, weights_T * sizes_C[:, None] / np.where(can_CT, mass_CT, 1.0), 0.0)
    for _ in range(ROUNDS):
        counts_CT *= (sizes_C * weights_T.sum() / counts_CT.sum(axis=1))[:, None]
        sums_T = (counts_CT * mass_CT).sum(axis=0)
        aims_T = _aims(shares_T, sums_T.sum(), (most_CT * mass_CT).sum(axis=0))
        counts_CT *= np.where(there_T, aims_T / np.where(there_T, sums_T, 1.0), 0.0)
        is_over = counts_CT > most_CT
        if np.abs(counts_CT.sum(axis=1) / (sizes_C * weights_T.sum()) - 1).max() < PRECISION and not is_over.any():
            break
        counts_CT = np.minimum(counts_CT, most_CT)
    return np.stack([_round(column, most) for column, most in zip(counts_CT.T, most_CT.T, strict=True)], axis=1)


def _aims(shares_T: np.ndarray, total: float, most_T: np.ndarray) -> np.ndarray:
    """What each task is to count: its share of the total, or all that it can; then the others share what is left."""
    aims_T, is_free = np.zeros_like(shares_T), shares_T > 0
    left = total
    while is_free.any():
        aims_T[is_free] = left * shares_T[is_free] / shares_T[is_free].sum()
        is_full = is_free & (aims_T > most_T)
        if not is_full.any():
            break
        aims_T[is_full] = most_T[is_full]
        left = max(left - float(most_T[is_full].sum()), 0.0)
        is_free &= ~is_full
    return aims_T


def _round(counts_C: np.ndarray, most_C: np.ndarray) -> np.ndarray:
    """Whole numbers with the sum of what they stand for, by largest remainders."""
    whole_C = np.floor(counts_C + 1e-9).astype(int)
    left = round(float(counts_C.sum())) - int(whole_C.sum())
    for place in np.argsort(whole_C - counts_C, kind="stable")[:left]:
        whole_C[place] += whole_C[place] < most_C[place]
    return whole_C


def _place(key: str, seed: int) -> bytes:
    """Where a sample stands among those of its class."""
    return hashlib.blake2b(f"{seed}\0mixture\0{key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
