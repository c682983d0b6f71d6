"""Surface normals: unit vectors stay unit vectors, whatever the resize.

    stored and drawn    RGB of 8 bits, n = c / 127.5 - 1 for each channel; (0, 0, 0) where there is none

Which way the axes point is the source's business: it is kept. Unknown is (0, 0, 0), a vector shorter than 0.1 and, where there is alpha, a
transparent pixel. Each channel is resized in floats, BOX halves and then BILINEAR, unknown pixels without weight; the mean of several
normals is shorter than one, so it is brought back to length 1 and rounded to 8 bits. A map that needs no resize changes by 1 at most: what
rounding had left of its vectors' length. A map without a known pixel in the crop is refused.
"""

import numpy as np
from PIL import Image

from pipeline.images import Crop, PictureError
from pipeline.samples import Box
from tokenizer.rendering.resizing import average_known
from tokenizer.rendering.stored_maps import is_opaque, stored_colors

LEAST_LENGTH = 0.1  # of a vector that points somewhere


def draw_normals(image: Image.Image, crop: Crop, part: Box) -> np.ndarray:
    """uint8 [H, W, 3] of the crop's size.

    Args:
        image: As `pipeline.images.decode_map` gives it.
        part: x0, y0, x1, y1 in its pixels.

    Raises:
        PictureError: `bad_normal_map` or `unknown_normals`.
    """
    if image.mode not in ("RGB", "RGBA", "P"):
        raise PictureError("bad_normal_map", f"RGB is wanted, got a picture of mode {image.mode}")
    colors = stored_colors(image)
    vectors = colors.astype(np.float32) / 127.5 - 1
    known = is_opaque(image) & colors.any(axis=2) & (np.linalg.norm(vectors, axis=2) >= LEAST_LENGTH)
    planes, known = average_known(vectors.transpose(2, 0, 1), known, crop, part)
    lengths = np.linalg.norm(planes, axis=0)
    known &= lengths >= LEAST_LENGTH  # opposite ones may have met
    if not known.any():
        raise PictureError("unknown_normals", "no pixel of the crop has a known normal")
    unit = planes / np.where(known, lengths, 1)
    return np.where(known, np.rint((unit + 1) * 127.5), 0).astype(np.uint8).transpose(1, 2, 0)
