"""Depth: bright is near, scaled for each picture.

    stored                 one channel of 8 or 16 bits, of 32 or of floats (TIFF); or gray in RGB, as many write it
      "nearness"           larger is nearer: MiDaS, Depth Anything, ControlNet's maps           every number is known
      "distance"           larger is farther: KITTI, NYU, ScanNet; in any unit                  0 and below are unknown
    drawn                  nearness as stored, distance as 1 / distance: the smallest is 0, the largest 255; three equal channels
                           unknown is 0; a plane without any depth in it, all of one value, is 128

NaN, infinity and transparent pixels are unknown too. Smallest and largest are those of what remains after the crop. Resized in floats, BOX
halves and then BILINEAR, which does not overshoot; unknown pixels have no weight in it, and a pixel with less than half of its weight known
is unknown. A map without a known pixel in the crop is refused, and so is one drawn in a colour scale (jet, turbo, inferno): its values
cannot be read back for sure. Which convention a file has cannot be seen in it: [tokens] stored_depth says it, and a sample's metadata
"depth_stored" says it better.
"""

import numpy as np
from PIL import Image

from pipeline.images import Crop, PictureError
from pipeline.samples import Box
from tokenizer.rendering.resizing import average_known
from tokenizer.rendering.stored_maps import is_deep, is_opaque, stored_colors

CONVENTIONS = ("nearness", "distance")
FLAT = 128  # a map of one value
SAME = 2e-6  # relative difference up to which values are one: what resizing in float32 leaves of a constant
GRAY_TOLERANCE = 4  # between the channels of a gray map that was stored in a lossy way


def draw_depth(image: Image.Image, stored: object, crop: Crop, part: Box) -> np.ndarray:
    """uint8 [H, W, 3] of the crop's size.

    Args:
        image: As `pipeline.images.decode_map` gives it.
        stored: The convention; from metadata, so it may be anything.
        part: x0, y0, x1, y1 in its pixels.

    Raises:
        PictureError: `bad_depth_convention`, `coloured_depth`, `bad_depth_map` or `unknown_depth`.
    """
    if stored not in CONVENTIONS:
        raise PictureError("bad_depth_convention", f"depth is stored as {' or '.join(CONVENTIONS)}, got {stored!r}")
    values, known = read_depth(image)
    if stored == "distance":
        known &= values >= np.finfo(np.float32).tiny  # so that the inverse is a number
        values = np.divide(1.0, values, out=np.zeros_like(values), where=known)
    planes, known = average_known(values[None], known, crop, part)
    if not known.any():
        raise PictureError("unknown_depth", "no pixel of the crop has a known depth")
    gray = np.where(known, _scale(planes[0], known), 0).astype(np.uint8)
    return np.stack([gray] * 3, axis=2)


def read_depth(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """[H, W] float32 values as stored, and [H, W] bool where they are numbers.

    Raises:
        PictureError: `coloured_depth` or `bad_depth_map`.
    """
    if is_deep(image):
        values = np.asarray(image).astype(np.float32)
        return values, np.isfinite(values)
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise PictureError("bad_depth_map", f"one channel or gray RGB is wanted, got a picture of mode {image.mode}")
    colors, known = stored_colors(image), is_opaque(image)
    spread = (colors.max(axis=2) - colors.min(axis=2))[known]
    if spread.size and spread.max() > GRAY_TOLERANCE:
        raise PictureError("coloured_depth", f"gray is wanted, got channels that differ by up to {spread.max()}")
    return colors.mean(axis=2, dtype=np.float32), known


def _scale(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    low, high = float(values[known].min()), float(values[known].max())
    if high - low <= SAME * max(abs(low), abs(high)):
        return np.full(values.shape, FLAT)
    return np.rint((values.astype(np.float64) - low) / (high - low) * 255)
