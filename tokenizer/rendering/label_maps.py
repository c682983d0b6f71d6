"""Segmentation and masks: class ids in a fixed palette, no class invented.

    stored                                      drawn
    segmentation  P, L, I;16, I: class ids      PASCAL VOC's colour of each id, whatever palette the file brings
                  1: ids 0 and 1
                  RGB, RGBA: colours            as they are
    mask, mask_1  P, L, I;16, I, 1, RGB         black where it is 0, white elsewhere; in a JPEG white from 128 on
                  with alpha                    white where it is transparent, black elsewhere

The map is resized by the nearest pixel, in one step from the stored size. Ids go up to 2^24 - 1, and no two have one colour. A coloured map
has no ids, and may have any colours, but no transparency: what is under it is unknown. A JPEG of ids is refused, for at every border it
holds classes that were never there.

A mask with alpha is a picture with a hole where the edit goes, as MagicBrush and the masks of OpenAI's image edits are.

Source: PASCAL VOC 2012, `VOClabelcolormap` of its devkit: the bits of an id go to red, green and blue in turn, the lowest to the highest.
"""

import numpy as np
from PIL import Image

from pipeline.images import Crop, PictureError
from pipeline.samples import Box
from tokenizer.rendering.resizing import take_nearest
from tokenizer.rendering.stored_maps import is_opaque, stored_colors

NUM_COLORS = 1 << 24
HALF = 128  # the least value of a mask in a JPEG that is white: 0 and 255 are a little off there
ID_MODES = ("P", "L", "1", "I", "LA", "PA")


def label_colors(ids: np.ndarray) -> np.ndarray:
    """uint8 [..., 3]: the colour of each id.

    Args:
        ids: Integers in [0, 2^24), of any shape.
    """
    rest = ids.astype(np.int32)
    colors = np.zeros((*ids.shape, 3), np.uint8)
    for bit in range(7, -1, -1):
        if not rest.any():
            break
        for channel in range(3):
            colors[..., channel] |= ((rest >> channel & 1) << bit).astype(np.uint8)
        rest >>= 3
    return colors


def draw_segmentation(image: Image.Image, crop: Crop, part: Box, is_lossy: bool) -> np.ndarray:
    """uint8 [H, W, 3] of the crop's size.

    Args:
        image: As `pipeline.images.decode_map` gives it.
        part: x0, y0, x1, y1 in its pixels.
        is_lossy: It is a JPEG.

    Raises:
        PictureError: `lossy_label_map`, `map_has_alpha` or `bad_label_map`.
    """
    if has_ids(image):
        if is_lossy:
            raise PictureError("lossy_label_map", "class ids in a JPEG; store them as PNG")
        return label_colors(take_nearest(read_ids(image), crop, part))
    if image.mode not in ("RGB", "RGBA"):
        raise PictureError("bad_label_map", f"class ids or RGB are wanted, got a picture of mode {image.mode}")
    if not is_opaque(image).all():
        raise PictureError("map_has_alpha", f"a coloured map of mode {image.mode} with transparent pixels: what is under them is unknown")
    return take_nearest(stored_colors(image), crop, part)


def draw_mask(image: Image.Image, crop: Crop, part: Box, is_lossy: bool) -> np.ndarray:
    """uint8 [H, W, 3] of the crop's size, black and white; arguments and errors as `draw_segmentation`, but a JPEG is taken."""
    if image.mode in ("RGBA", "LA", "PA") and not is_opaque(image).all():
        is_white = ~is_opaque(image)
    elif has_ids(image):
        is_white = read_ids(image) >= (HALF if is_lossy else 1)
    elif image.mode in ("RGB", "RGBA"):
        is_white = stored_colors(image).max(axis=2) >= (HALF if is_lossy else 1)
    else:
        raise PictureError("bad_label_map", f"a mask of one channel, of RGB or with alpha is wanted, got one of mode {image.mode}")
    gray = np.where(take_nearest(is_white, crop, part), 255, 0).astype(np.uint8)
    return np.stack([gray] * 3, axis=2)


def has_ids(image: Image.Image) -> bool:
    """Whether a map stores class ids, not colours."""
    return image.mode in ID_MODES or image.mode.startswith("I;16")


def read_ids(image: Image.Image) -> np.ndarray:
    """[H, W] int32: palette indices or values as they are stored.

    Raises:
        PictureError: `map_has_alpha`, or `bad_label_map` for ids outside [0, 2^24).
    """
    if image.mode in ("LA", "PA"):
        if not is_opaque(image).all():
            raise PictureError("map_has_alpha", f"class ids of mode {image.mode} with transparent pixels: what is under them is unknown")
        image = image.getchannel(0)
    ids = np.asarray(image).astype(np.int32)
    if ids.min() < 0 or ids.max() >= NUM_COLORS:
        raise PictureError("bad_label_map", f"class ids lie in [0, {NUM_COLORS}), got {ids.min()} to {ids.max()}")
    return ids
