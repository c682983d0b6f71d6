"""Pictures of one size go together, and every ticket gets its own codes back."""

import numpy as np
import pytest

from pipeline.batching import Batcher


class FirstPixel:
    """An encoder whose code is a picture's first pixel; remembers the batches it got."""

    def __init__(self):
        self.batches: list[tuple[int, ...]] = []

    def submit(self, pixels_BHWC: np.ndarray) -> np.ndarray:
        self.batches.append(pixels_BHWC.shape)
        return pixels_BHWC

    def result(self, handle: np.ndarray) -> np.ndarray:
        B, H, W, _ = handle.shape
        return np.broadcast_to(handle[:, :1, :1, 0].astype(np.int32), (B, H // 16, W // 16))


def picture(value: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_every_ticket_gets_its_own_codes():
    port = FirstPixel()
    batcher = Batcher(port, batch_pixels=3 * 1024, waiting_pixels=100 * 1024)
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (32, 64), (64, 32)]
    tickets = [batcher.add(picture(value, *sizes[rng.integers(3)])) for value in range(50)]
    batcher.flush()
    for value in rng.permutation(50):
        assert (batcher.take(tickets[value]) == value).all()
    assert sum(shape[0] for shape in port.batches) == 50


def test_batches_hold_one_size_and_as_many_as_fit():
    port = FirstPixel()
    batcher = Batcher(port, batch_pixels=4 * 1024, waiting_pixels=100 * 1024)
    for value in range(9):
        batcher.add(picture(value))
        batcher.add(picture(value, 32, 64))
    batcher.flush()
    assert sorted(shape[:3] for shape in port.batches) == [(1, 32, 32), (1, 32, 64), *[(2, 32, 64)] * 4, (4, 32, 32), (4, 32, 32)]


@pytest.mark.parametrize("batch_pixels, sizes", [(1023, [1, 1, 1, 1]), (1024, [1, 1, 1, 1]), (2047, [1, 1, 1, 1]), (2048, [2, 2])])
def test_a_batch_is_sent_once_no_other_picture_fits(batch_pixels, sizes):
    port = FirstPixel()
    batcher = Batcher(port, batch_pixels=batch_pixels, waiting_pixels=100 * 1024)
    for value in range(4):
        batcher.add(picture(value))
    assert [shape[0] for shape in port.batches] == sizes, "before any flush"


def test_what_waits_is_bounded_and_the_fullest_goes_first():
    port = FirstPixel()
    batcher = Batcher(port, batch_pixels=100 * 1024, waiting_pixels=4 * 1024)
    for value in range(3):
        batcher.add(picture(value))
    batcher.add(picture(3, 16, 32))
    assert port.batches == []
    batcher.add(picture(4))
    assert port.batches == [(4, 32, 32, 3)]
    batcher.flush()
    assert port.batches[1:] == [(1, 16, 32, 3)]


def test_batches_are_the_same_whenever_codes_are_taken():
    shapes = []
    for eager in (True, False):
        port = FirstPixel()
        batcher = Batcher(port, batch_pixels=2 * 1024, waiting_pixels=100 * 1024)
        tickets = []
        for value in range(8):
            tickets.append(batcher.add(picture(value, 32, 32 + 32 * (value % 2))))
            if eager and len(port.batches) > 0 and tickets[0] is not None and value == 4:
                batcher.take(tickets[0])
        batcher.flush()
        shapes.append(port.batches)
    assert shapes[0] == shapes[1]


def test_codes_are_kept_in_the_smallest_type():
    batcher = Batcher(FirstPixel(), batch_pixels=1024, waiting_pixels=1024)
    assert batcher.take(batcher.add(picture(200))).dtype == np.uint8


def test_a_ticket_is_taken_once():
    batcher = Batcher(FirstPixel(), batch_pixels=1024, waiting_pixels=1024)
    ticket = batcher.add(picture(1))
    batcher.take(ticket)
    with pytest.raises(KeyError):
        batcher.take(ticket)
