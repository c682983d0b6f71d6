"""What is done to a conditioning picture so that it cannot simply be copied into the answer: crop, flip, noise, gray.

    crop   (x0, y0, x1, y1)    these fractions remain, resized back to the picture's size with BICUBIC
    flip   ()                  left becomes right
    noise  (deviation, seed)   normal noise is added to each channel of each pixel; 0 to 255 is the scale of the deviation
    gray   ()                  luma (ITU-R 601) in all three channels

Changes are made for photographs: a mirrored map of normals still says where its vectors pointed before.

Source: MUMU (arXiv 2406.18790), which names the four; its numbers are not published.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.samples import Change
from tokenizer.framing import part_pixels

NUM_VALUES = {"crop": 4, "flip": 0, "noise": 2, "gray": 0}


def apply_changes(pixels: np.ndarray, changes: Sequence[Change]) -> np.ndarray:
    """The picture after all changes, one upon the other; of the same size.

    Args:
        pixels: uint8 [H, W, 3].

    Raises:
        ValueError: A change with the wrong number of values, or of an unknown kind.
    """
    for change in changes:
        if len(change.values) != NUM_VALUES.get(change.kind, -1):
            raise ValueError(f"a change is one of {NUM_VALUES}, by kind and number of values; got {change}")
        pixels = _apply(pixels, change)
    return pixels


def _apply(pixels: np.ndarray, change: Change) -> np.ndarray:
    height, width = pixels.shape[:2]
    if change.kind == "crop":
        x0, y0, x1, y1 = change.values
        part = Image.fromarray(pixels).crop(part_pixels((x0, y0, x1, y1), width, height))
        return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))
    if change.kind == "flip":
        return pixels[:, ::-1].copy()
    if change.kind == "gray":
        return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
    deviation, seed = change.values
    noise = np.random.Generator(np.random.PCG64(int(seed))).standard_normal(pixels.shape) * deviation
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
