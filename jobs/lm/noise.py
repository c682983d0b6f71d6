"""Gumbel noise keyed by (seed, number, position): the same draw whatever else is in the batch, and in whatever order positions are done.

    bits = Philox(key = sha256(seed, number), counter = position)      v = (bits + 1/2) / 2^32      noise = -log(-log(1 - v))

The argmax of logits / temperature + noise is a draw from their softmax. The 32 bits resolve the upper tail, where the argmax lies.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LARGEST = np.float32(1 - 2**-24)  # below 1 in float32


def gumbel(seed: int, number: int, positions: Sequence[int], count: int) -> Tensor:
    """Standard Gumbel noise.

    Args:
        number: Of the picture or answer.
        positions: Of the tokens, counted from the first one of the answer.
        count: How many choices there are; the first n values are the same for any count above n.

    Returns:
        [positions, count] float32, on the CPU.
    """
    key = int.from_bytes(hashlib.sha256(f"{seed}\0{number}".encode()).digest()[:16], "little")
    bits = np.empty((len(positions), -(-count // 2)), "<u8")
    for row, position in enumerate(positions):
        bits[row] = np.random.Philox(key=key, counter=position << 64).random_raw(bits.shape[1])
    uniform = bits.view("<u4").astype(np.float32)
    uniform += np.float32(0.5)
    uniform *= np.float32(2**-32)
    np.minimum(uniform, LARGEST, out=uniform)
    return torch.from_numpy(uniform)[:, :count].neg_().log1p_().neg_().log_().neg_()
