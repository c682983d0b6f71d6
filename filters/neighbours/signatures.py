"""What samples leave behind in order to be compared later, as bytes: made of digests, and read back as matrices.

Shapes: N rows, W bytes a signature.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from pipeline.samples import ImageRef, Sample

CONTEXT_BYTES = 8
BLOCK = 100_000  # rows that are compared with their neighbours at a time: np.unique would copy all of them twice


def digest(parts: Iterable[bytes]) -> bytes:
    """[32] bytes, SHA-256 of all parts and of where each ends: ("ab", "c") differs from ("a", "bc")."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.digest()


def words_of(sample: Sample, include_caption: bool) -> Iterator[bytes]:
    """What is said in a sample: its dialogue, and its caption where that counts."""
    for turn in sample.turns:
        yield turn.role.encode()
        for piece in turn.content:
            yield repr((piece.name, piece.box)).encode() if isinstance(piece, ImageRef) else b"text:" + piece.encode()
    if include_caption:
        yield sample.caption.encode()


def context(parts: Iterable[bytes]) -> bytes:
    """[CONTEXT_BYTES] what must be equal, beside pictures that are near, before two samples can be copies of each other."""
    return digest(parts)[:CONTEXT_BYTES]


def matrices(signatures: pa.ChunkedArray, alive_N: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The signatures of living rows, one pair for each length, shortest first: rows [n] int64 and bytes [n, W] uint8.

    Chunk by chunk, for in one piece 10 million embeddings exceed what Arrow's binary arrays can hold.
    """
    rows: dict[int, list[list[int]]] = defaultdict(list)
    parts: dict[int, list[bytes]] = defaultdict(list)
    start = 0
    for chunk in signatures.chunks:
        values = chunk.to_pylist()
        living = [place for place in np.flatnonzero(alive_N[start : start + len(values)]).tolist() if values[place] is not None]
        for width in {len(values[place]) for place in living}:
            places = [place for place in living if len(values[place]) == width]
            rows[width].append([start + place for place in places])
            parts[width].append(b"".join(values[place] for place in places))
        start += len(values)
    for width in sorted(rows):
        yield np.concatenate(rows[width]), np.frombuffer(b"".join(parts.pop(width)), np.uint8).reshape(-1, width)


def distinct(matrix_NW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows, sorted by their bytes, so that nothing hangs on the order of the input; and the number [N] of each row's one.

    Equal signatures are told apart here, not by a search for neighbours: a picture that is there a thousand times is half a million pairs.
    """
    order = np.argsort(np.ascontiguousarray(matrix_NW).view(np.dtype((np.void, matrix_NW.shape[1])))[:, 0], kind="stable")
    is_new = np.ones(len(order), bool)
    for start in range(1, len(order), BLOCK):
        places = order[start - 1 : start + BLOCK]
        is_new[start : start + BLOCK] = (matrix_NW[places[1:]] != matrix_NW[places[:-1]]).any(axis=1)
    item_of_N = np.empty(len(order), np.int64)
    item_of_N[order] = np.cumsum(is_new) - 1
    return matrix_NW[order[is_new]], item_of_N
