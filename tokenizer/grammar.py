"""What may stand where: the schedule of an image for the sampler, and the check of a whole sequence for the linter.

    <s>  turn  end-of-turn  turn  end-of-turn ...        user and assistant in turn; a turn is text and images

Both come from the same layout as the tokenizer's, so that what is sampled, what is written and what is checked cannot drift apart.

Source: Lumina-mGPT, `MultiModalLogitsProcessor` (line breaks and end of image are forced by position; sizes are forced here, too).
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from pipeline.samples import ImageSpan
from tokenizer.layout import NUM_HEAD, PIXELS_PER_CODE, ids_to_image, image_length, image_size_at
from tokenizer.vocab import Vocab


class Slot(IntEnum):
    """What stands at a position of an image."""

    START = 0
    HEIGHT = 1
    WIDTH = 2
    CODE = 3
    ROW_END = 4
    END = 5


def image_slots(height: int, width: int) -> np.ndarray:
    """The schedule of a height x width image (pixels): [L] int8 of `Slot`, from start-of-image to end-of-image."""
    H, W = height // PIXELS_PER_CODE, width // PIXELS_PER_CODE
    slots = np.full(image_length(height, width), Slot.CODE, np.int8)
    slots[:NUM_HEAD] = (Slot.START, Slot.HEIGHT, Slot.WIDTH)
    slots[NUM_HEAD:-1].reshape(H, W + 1)[:, -1] = Slot.ROW_END
    slots[-1] = Slot.END
    return slots


def forced_id(slot: int, height: int, width: int, vocab: Vocab) -> int | None:
    """The only id that may stand in a slot of a height x width image (pixels); None where a code is to be chosen."""
    match slot:
        case Slot.START:
            return vocab.start_of_image
        case Slot.HEIGHT:
            return vocab.sizes[height // (2 * PIXELS_PER_CODE)]
        case Slot.WIDTH:
            return vocab.sizes[width // (2 * PIXELS_PER_CODE)]
        case Slot.ROW_END:
            return vocab.end_of_row
        case Slot.END:
            return vocab.end_of_image
        case _:
            return None


def find_images(ids: np.ndarray, vocab: Vocab) -> tuple[ImageSpan, ...]:
    """The images of a sequence, by their start-of-image tokens.

    Raises:
        ValueError: A start-of-image is not followed by size tokens.
    """
    starts = np.flatnonzero(ids == vocab.start_of_image)
    sizes = [image_size_at(ids, int(start), vocab) for start in starts]
    return tuple(ImageSpan(int(start), height, width) for start, (height, width) in zip(starts, sizes, strict=True))


def find_loss_spans(ids: np.ndarray, vocab: Vocab) -> tuple[tuple[int, int], ...]:
    """The assistant's turns, each with its closing end-of-turn: half-open pairs. Every second turn is the assistant's."""
    ends = (np.flatnonzero(ids == vocab.end_of_turn) + 1).tolist()
    return tuple(zip(ends[::2], ends[1::2], strict=False))


def check_sequence(ids: np.ndarray, loss_spans: Sequence[tuple[int, int]], images: Sequence[ImageSpan], vocab: Vocab) -> list[str]:
    """Everything that is wrong with a sequence, in words; nothing when it keeps the grammar.

    Args:
        ids: [L] the whole sequence.
        loss_spans: Half-open pairs, as stored.
        images: Image spans, as stored.
    """
    if not len(ids):
        return ["the sequence is empty"]
    if int(ids.max()) >= vocab.size:
        return [f"id {int(ids.max())} is outside the vocabulary of {vocab.size}"]
    problems = []
    if ids[0] != vocab.bos or (ids[1:] == vocab.bos).any():
        problems.append("begin-of-sequence does not stand at the start, and only there")
    if ids[-1] != vocab.end_of_turn:
        problems.append(f"the sequence ends in id {ids[-1]}, not in end-of-turn")
    problems += _check_images(ids, images, vocab)
    problems += _check_spans(ids, loss_spans, vocab)
    return problems


def _check_images(ids: np.ndarray, images: Sequence[ImageSpan], vocab: Vocab) -> list[str]:
    problems = []
    inside = np.zeros(len(ids), bool)
    end = 0
    for number, image in enumerate(images):
        stop = image.start + image_length(image.height, image.width)
        try:
            H, W = ids_to_image(ids[image.start : stop], vocab).shape
        except ValueError as error:
            problems.append(f"image {number} at {image.start}: {error}")
        else:
            if (announced := (H * PIXELS_PER_CODE, W * PIXELS_PER_CODE)) != (image.height, image.width):
                problems.append(
                    f"image {number} at {image.start}: its size tokens say {announced}, stored is {(image.height, image.width)}"
                )
        if image.start < end:
            problems.append(f"image {number} at {image.start} overlaps another one, or stands out of order")
        inside[image.start : stop] = True
        end = stop
    structure = vocab.is_control.copy()
    structure[[vocab.bos, vocab.end_of_turn]] = False  # these two have checks of their own
    stray = np.flatnonzero(structure[ids] & ~inside)
    if len(stray):
        problems.append(f"id {ids[stray[0]]} at {stray[0]} belongs inside an image, and no stored image covers it")
    return problems


def _check_spans(ids: np.ndarray, loss_spans: Sequence[tuple[int, int]], vocab: Vocab) -> list[str]:
    problems = []
    end = 0
    for start, stop in loss_spans:
        if not end <= start < stop <= len(ids):
            problems.append(f"loss span {start}..{stop} is empty, out of order or past the end at {len(ids)}")
        end = stop
    if not loss_spans:
        problems.append("no token takes loss")
    if not problems and tuple(map(tuple, loss_spans)) != find_loss_spans(ids, vocab):
        problems.append(f"the loss spans {list(map(tuple, loss_spans))} are not the assistant's turns {list(find_loss_spans(ids, vocab))}")
    return problems
