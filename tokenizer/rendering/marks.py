"""Boxes drawn on a picture, as grounding answers with them.

The box's pixels are those of `tokenizer.framing.part_pixels`; the line lies inside, `width` pixels thick, and fills a box that is thinner
than twice that. Later marks lie over earlier ones.
"""

from collections.abc import Sequence

import numpy as np
from PIL import ImageColor

from pipeline.samples import Mark
from tokenizer.framing import part_pixels


def draw_marks(pixels: np.ndarray, marks: Sequence[Mark]) -> np.ndarray:
    """The picture with its marks, a copy where there are any.

    Args:
        pixels: uint8 [H, W, 3].

    Raises:
        ValueError: A colour that Pillow does not know, or a width below 1.
    """
    if not marks:
        return pixels
    pixels = pixels.copy()
    height, width = pixels.shape[:2]
    for mark in marks:
        if mark.width < 1:
            raise ValueError(f"a mark's line is at least 1 pixel wide, got {mark.width}")
        x0, y0, x1, y1 = part_pixels(mark.box, width, height)
        color = ImageColor.getrgb(mark.color)[:3]
        box = pixels[y0:y1, x0:x1]  # a view; lines past its other side are cut there
        box[: mark.width] = box[-mark.width :] = color
        box[:, : mark.width] = box[:, -mark.width :] = color
    return pixels
