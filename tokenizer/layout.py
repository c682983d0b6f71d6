"""How an image lies in a token sequence.

    start-of-image  size(height)  size(width)  { code ... code  end-of-row } x rows  end-of-image

A size token counts grids of 32 pixels, so it stands for two rows or columns of codes; height comes first. Every position is a function of
(height, width): 256² takes 276 tokens, 512² 1,060, 768² 2,356, 1024² 4,164.

Source: Lumina-mGPT (arXiv 2408.02657), section 2.2, unambiguous image representation; `FlexARItemProcessor.process_image`.
"""

import numpy as np

from tokenizer.vocab import Vocab

PIXELS_PER_CODE = 16  # along each axis: the VQ encoder's downsampling
PIXELS_PER_GRID = 32  # along each axis: what a size token counts
CODES_PER_GRID = PIXELS_PER_GRID // PIXELS_PER_CODE
NUM_HEAD = 3  # start-of-image and the two size tokens


def image_length(height: int, width: int) -> int:
    """Tokens of a height x width image (pixels), from start-of-image to end-of-image."""
    return (height // PIXELS_PER_CODE) * (width // PIXELS_PER_CODE + 1) + NUM_HEAD + 1


def image_head(height: int, width: int, vocab: Vocab) -> list[int]:
    """The ids of start-of-image and the size tokens of a height x width image (pixels).

    Raises:
        ValueError: A side is no positive multiple of 32 pixels, or the vocabulary has no size token for it.
    """
    for side in (height, width):
        if side <= 0 or side % PIXELS_PER_GRID or side // PIXELS_PER_GRID >= len(vocab.sizes):
            raise ValueError(f"no size token stands for {side} pixels in {height} x {width}")
    return [vocab.start_of_image, vocab.sizes[height // PIXELS_PER_GRID], vocab.sizes[width // PIXELS_PER_GRID]]


def image_to_ids(codes_HW: np.ndarray, vocab: Vocab) -> np.ndarray:
    """Lay one image out as token ids.

    Args:
        codes_HW: [H, W] integer, indices into the VQ codebook. H and W are even.

    Returns:
        [H * (W + 1) + 4], the vocabulary's dtype.

    Raises:
        ValueError: H or W is odd, or a code is outside the codebook.
    """
    H, W = codes_HW.shape
    head = image_head(H * PIXELS_PER_CODE, W * PIXELS_PER_CODE, vocab)
    if codes_HW.min() < 0 or codes_HW.max() >= len(vocab.codes):
        raise ValueError(f"codes run from {codes_HW.min()} to {codes_HW.max()}, the vocabulary has {len(vocab.codes)}")
    ids = np.empty(NUM_HEAD + H * (W + 1) + 1, vocab.dtype)
    ids[:NUM_HEAD] = head
    rows = ids[NUM_HEAD:-1].reshape(H, W + 1)
    rows[:, :-1] = vocab.code_to_id[codes_HW]
    rows[:, -1] = vocab.end_of_row
    ids[-1] = vocab.end_of_image
    return ids


def image_size_at(ids: np.ndarray, start: int, vocab: Vocab) -> tuple[int, int]:
    """Height and width in pixels that the size tokens after a start-of-image at `start` announce.

    Raises:
        ValueError: There are no two size tokens above zero.
    """
    sizes = vocab.id_to_size[ids[start + 1 : start + NUM_HEAD]]
    if len(sizes) < 2 or (sizes <= 0).any():
        raise ValueError(f"no size tokens follow the start-of-image at {start}")
    return int(sizes[0]) * PIXELS_PER_GRID, int(sizes[1]) * PIXELS_PER_GRID


def ids_to_image(ids: np.ndarray, vocab: Vocab) -> np.ndarray:
    """The inverse of `image_to_ids`.

    Args:
        ids: [L] one image, from start-of-image to end-of-image.

    Returns:
        [H, W] int32, indices into the VQ codebook.

    Raises:
        ValueError: `ids` is not one well-formed image; the message says where it breaks.
    """
    if len(ids) < NUM_HEAD + 1 or ids[0] != vocab.start_of_image:
        raise ValueError("it does not begin with start-of-image")
    height, width = image_size_at(ids, 0, vocab)
    H, W = height // PIXELS_PER_CODE, width // PIXELS_PER_CODE
    if len(ids) != image_length(height, width):
        raise ValueError(f"{H} x {W} codes are announced, that is {image_length(height, width)} tokens; there are {len(ids)}")
    if ids[-1] != vocab.end_of_image:
        raise ValueError(f"id {ids[-1]} stands where the image should end")
    rows = ids[NUM_HEAD:-1].reshape(H, W + 1)
    if (rows[:, -1] != vocab.end_of_row).any():
        raise ValueError(f"row {int(np.argmax(rows[:, -1] != vocab.end_of_row))} does not end in a line break")
    codes = vocab.id_to_code[rows[:, :-1]]
    if (codes < 0).any():
        row, column = np.argwhere(codes < 0)[0]
        raise ValueError(f"id {rows[row, column]} in row {row}, column {column} is no image code")
    return codes
