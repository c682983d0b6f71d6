"""Pictures of one size go to the encoder together.

Which pictures share a batch is a function of the unit alone, never of timing: floating point sums differ in their last bit with the size
of a batch, and a code near a tie in the codebook with them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class EncodePort(Protocol):
    """Where batches go: the process's own encoder, or a pool of actors."""

    def submit(self, pixels_BHWC: np.ndarray) -> Any:
        """Hand over uint8 [B, H, W, 3]; returns a handle. May block until there is room."""
        ...

    def result(self, handle: Any) -> np.ndarray:
        """The codes of a batch: [B, H / 16, W / 16] integer."""
        ...


@dataclass(slots=True)
class _Batch:
    handle: Any
    codes: np.ndarray | None = None


class Batcher:
    """Collects pictures by size and submits them in full batches.

    Args:
        port: Where batches go.
        batch_pixels: A batch holds as many pictures as fit into it, at least one.
        waiting_pixels: Bound on what waits for its batch to fill; beyond it the fullest batch goes early.
    """

    def __init__(self, port: EncodePort, batch_pixels: int, waiting_pixels: int):
        self._port = port
        self._batch_pixels = batch_pixels
        self._waiting_pixels = waiting_pixels
        self._waiting: dict[tuple[int, int], list[tuple[int, np.ndarray]]] = {}
        self._num_waiting_pixels = 0
        self._places: dict[int, tuple[_Batch, int]] = {}  # ticket -> its batch, its row in it
        self._num_tickets = 0

    def add(self, pixels_HWC: np.ndarray) -> int:
        """Take one picture, uint8 [H, W, 3]; returns a ticket for its codes."""
        ticket = self._num_tickets
        self._num_tickets += 1
        height, width = pixels_HWC.shape[:2]
        group = self._waiting.setdefault((height, width), [])
        group.append((ticket, pixels_HWC))
        self._num_waiting_pixels += height * width
        if (len(group) + 1) * height * width > self._batch_pixels:
            self._send(height, width)
        while self._num_waiting_pixels > self._waiting_pixels:
            self._send(*max(self._waiting, key=lambda size: (len(self._waiting[size]) * size[0] * size[1], size)))
        return ticket

    def flush(self) -> None:
        """Submit what is left, in batches that are not full."""
        for size in sorted(self._waiting):
            self._send(*size)

    def take(self, ticket: int) -> np.ndarray:
        """The codes of a ticket, [H / 16, W / 16] uint16 or wider; each is given out once."""
        batch, row = self._places.pop(ticket)
        if batch.codes is None:
            codes = self._port.result(batch.handle)
            batch.codes = codes.astype(np.min_scalar_type(int(codes.max())), copy=False)
        return batch.codes[row]

    def _send(self, height: int, width: int) -> None:
        group = self._waiting.pop((height, width))
        self._num_waiting_pixels -= len(group) * height * width
        batch = _Batch(self._port.submit(np.stack([pixels for _, pixels in group])))
        for row, (ticket, _) in enumerate(group):
            self._places[ticket] = (batch, row)
