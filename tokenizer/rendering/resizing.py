"""How maps are brought to a crop: class ids by their nearest pixel, measurements in floats and only from what is known.

Geometry is the photographs': the part of the map is scaled to (scaled_width, scaled_height) and cut at (x, y), so that a map lies on its
picture whatever its own size. Only the filters differ: what a photograph's BICUBIC does at an edge (it overshoots, it mixes) would make
classes and depths that are nowhere in the map.

Shapes: H, W are the map's pixels, h, w the crop's; C are channels.
"""

import numpy as np
from PIL import Image

from pipeline.images import Crop
from pipeline.samples import Box
from tokenizer.framing import part_pixels

LEAST_KNOWN = 0.5 - 1e-4  # a pixel is known when at least half of its weight is; what floats round off is forgiven


def part_of(box: Box | None, planned_size: tuple[int, int], own_size: tuple[int, int]) -> Box:
    """Where a part lies in a picture whose crop was planned for another size: x0, y0, x1, y1 in the picture's own pixels, not rounded.

    Args:
        box: The part as fractions; None is the whole.
        planned_size: Width and height that the crop was planned for: the main picture's, for all that lines up with it.
        own_size: Width and height of the picture itself.
    """
    x0, y0, x1, y1 = part_pixels(box, *planned_size)
    (width, height), (planned_width, planned_height) = own_size, planned_size
    return x0 * width / planned_width, y0 * height / planned_height, x1 * width / planned_width, y1 * height / planned_height


def take_nearest(pixels: np.ndarray, crop: Crop, part: Box) -> np.ndarray:
    """Resize and cut in one step; each pixel of the result is one of the map's.

    Args:
        pixels: [H, W] or [H, W, C].
        part: x0, y0, x1, y1 in pixels, as `part_of` gives them.

    Returns:
        [h, w] or [h, w, C] of the same dtype.
    """
    x0, y0, x1, y1 = part
    columns = _nearest(x0, x1, crop.scaled_width, crop.x, crop.width, limit=pixels.shape[1])
    rows = _nearest(y0, y1, crop.scaled_height, crop.y, crop.height, limit=pixels.shape[0])
    return pixels[rows[:, None], columns]


def average_known(planes_CHW: np.ndarray, known_HW: np.ndarray, crop: Crop, part: Box) -> tuple[np.ndarray, np.ndarray]:
    """Resize in floats and cut: halve with BOX as long as photographs are, then BILINEAR; what is unknown has no weight.

    Args:
        planes_CHW: float32.
        known_HW: bool; values elsewhere may be anything.
        part: x0, y0, x1, y1 in pixels, as `part_of` gives them.

    Returns:
        planes_Chw, float32, 0 where unknown; known_hw, bool. Where nothing has to be resized the values are the stored ones.
    """
    planes_CHW = np.where(known_HW, planes_CHW, 0).astype(np.float32)
    planes = np.stack([_resize(plane, crop, part) for plane in planes_CHW])
    if known_HW.all():
        return planes, np.ones(planes.shape[1:], bool)
    weights = _resize(known_HW.astype(np.float32), crop, part)
    known = weights >= LEAST_KNOWN
    return np.where(known, planes / np.where(known, weights, 1), 0), known


def _nearest(low: float, high: float, scaled: int, offset: int, count: int, *, limit: int) -> np.ndarray:
    """[count] int64: the pixels whose middles lie nearest to those of the scaled axis, from its pixel `offset` on."""
    places = low + (2 * np.arange(offset, offset + count) + 1) * (high - low) / (2 * scaled)
    return np.clip(np.floor(places).astype(np.int64), 0, limit - 1)


def _resize(plane_HW: np.ndarray, crop: Crop, part: Box) -> np.ndarray:
    """[h, w] float32."""
    image = Image.fromarray(plane_HW)
    x0, y0, x1, y1 = part
    width, height = x1 - x0, y1 - y0
    while width >= 2 * crop.width and height >= 2 * crop.height:
        width, height = int(width) // 2, int(height) // 2
        image = image.resize((width, height), Image.Resampling.BOX, (x0, y0, x1, y1))
        x0, y0, x1, y1 = 0, 0, width, height
    if (width, height) != (crop.scaled_width, crop.scaled_height) or x0 % 1 or y0 % 1:
        image = image.resize((crop.scaled_width, crop.scaled_height), Image.Resampling.BILINEAR, (x0, y0, x1, y1))
        x0, y0 = 0, 0
    left, top = int(x0) + crop.x, int(y0) + crop.y
    return np.asarray(image)[top : top + crop.height, left : left + crop.width]
