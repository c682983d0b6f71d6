"""Gumbel noise keyed by (seed, picture, position): the same draw whatever else is in the batch, and in whatever order positions are done.

The argmax of logits / temperature + noise is a draw from their softmax.
"""

import hashlib

import numpy as np


def gumbel(seed: int, number: int, position: int, count: int) -> np.ndarray:
    """Standard Gumbel noise.

    Args:
        number: Of the picture or answer.
        position: Of the token, counted from where the model's own tokens begin.
        count: How many choices there are; the first n values are the same for any count above n.

    Returns:
        [count] float32.
    """
    key = hashlib.sha256(f"{seed}\0{number}\0{position}".encode()).digest()
    uniform = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little"))).random(count)
    return -np.log(-np.log(np.maximum(uniform, np.finfo(np.float64).tiny))).astype(np.float32)
