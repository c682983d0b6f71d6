"""Which samples are held out: drawn by key, so that a sample's sequences stay together, in this output and in any other.

    key    | 8 bytes | 8 bytes | rest, zeros |      one step of splitmix64 a word, for all keys of a shard at once

Ten million keys of 20 bytes take 1.1 s; a `random.Random` of a sha256 each took two minutes.
"""

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from jobs.lm.shuffle import word
from pipeline.shards.reader import TokenShards

WORD = 8  # bytes
WHOLE = (1 << 64) - 1


def split_held_out(shards: TokenShards, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers (uint32) of the sequences to train on, and of those held out."""
    numbers = np.arange(len(shards), dtype=np.uint32)
    if not fraction:
        return numbers, numbers[:0]
    hashes = [hash_strings(shards.shard_table(entry.name)["key"], seed ^ word("held out")) for entry in shards.manifest.shards]
    held_out = (np.concatenate(hashes) >> np.uint64(11)) * 2.0**-53 < fraction
    return numbers[~held_out], numbers[held_out]


def hash_strings(column: pa.ChunkedArray, seed: int) -> np.ndarray:
    """[N] uint64, a function of (seed, string). Not for secrets.

    Args:
        column: Of strings, none null.
    """
    return np.concatenate([_hash_chunk(chunk, seed) for chunk in column.chunks] or [np.empty(0, np.uint64)])


def _hash_chunk(chunk: pa.StringArray, seed: int) -> np.ndarray:
    _, offsets, data = chunk.buffers()
    ends = np.frombuffer(offsets, np.int32, len(chunk) + 1, chunk.offset * 4).astype(np.int64)
    first, last = int(ends[0]), int(ends[-1])
    text = np.zeros(last - first + WORD, np.uint8)
    if last > first:
        text[:-WORD] = np.frombuffer(data, np.uint8, last - first, first)
    starts, sizes = ends[:-1] - first, np.diff(ends)
    state = _mix(sizes.astype(np.uint64) ^ np.uint64(seed & WHOLE))
    words = sliding_window_view(text, WORD)
    for begin in range(0, int(sizes.max(initial=0)), WORD):
        rows = np.flatnonzero(sizes > begin)
        here = words[starts[rows] + begin].view("<u8")[:, 0]
        beyond = np.maximum(begin + WORD - sizes[rows], 0).astype(np.uint64)  # bytes that are the next string's
        state[rows] = _mix(state[rows] ^ (here & np.uint64(WHOLE) >> beyond * np.uint64(8)))
    return state


def _mix(words: np.ndarray) -> np.ndarray:
    """A step of splitmix64. Source: Steele, Lea and Flood (OOPSLA 2014), Vigna's `splitmix64.c`."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ words >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return words ^ words >> np.uint64(31)
