"""Seeded orders of millions of things: one sort of 64-bit keys, the same on every machine and with every version of numpy.

    key    | class | random bits | number |      numbers come out by class, and inside a class in random order

numpy promises the raw stream of Philox and SeedSequence for ever; of `Generator.permutation` it does not.
"""

import hashlib

import numpy as np

PIECE = 1 << 20  # numbers at once: what is made on the way stays small


def permutation(count: int, *words: int) -> np.ndarray:
    """[count] uint32, the numbers from 0 in an order that is a function of (count, words).

    Args:
        words: What the order is drawn from: a seed, an epoch, a purpose; 0 or more each.
    """
    return shuffled_by_class(np.zeros(count, np.uint8), 1, *words)


def shuffled_by_class(classes: np.ndarray, num_classes: int, *words: int) -> np.ndarray:
    """[N] uint32, the numbers from 0 with those of class 0 first; the order inside a class is a function of (classes, words).

    Args:
        classes: [N] integers from 0 to below num_classes.
    """
    count = len(classes)
    number_bits, class_bits = max(count - 1, 0).bit_length(), (num_classes - 1).bit_length()
    if number_bits > 32 or number_bits + class_bits > 48:
        raise ValueError(f"{count} numbers of {num_classes} classes leave too few random bits in a key")
    stream = np.random.Philox(np.random.SeedSequence(words))
    keys = np.empty(count, np.uint64)
    for start in range(0, count, PIECE):
        piece = keys[start : start + PIECE]
        piece[:] = stream.random_raw(len(piece))
        piece >>= np.uint64(class_bits + number_bits)
        piece <<= np.uint64(number_bits)
        piece |= np.arange(start, start + len(piece), dtype=np.uint64)
        if class_bits:
            piece |= classes[start : start + PIECE].astype(np.uint64) << np.uint64(64 - class_bits)
    keys.sort()
    numbers = np.empty(count, np.uint32)
    for start in range(0, count, PIECE):
        numbers[start : start + PIECE] = keys[start : start + PIECE] & np.uint64((1 << number_bits) - 1)
    return numbers


def word(text: str) -> int:
    """A word to draw from, of a name."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
