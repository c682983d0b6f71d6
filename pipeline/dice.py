"""Randomness as a function of (seed, key, purpose): the same on any machine, in any order, at any retry."""

import hashlib
import random


def dice(seed: int, key: str, purpose: str) -> random.Random:
    """A generator of its own for one sample and one purpose: drawing more for one of them changes nothing for the others."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))
