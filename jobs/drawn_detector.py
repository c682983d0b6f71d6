"""What a picture of one drawn thing shows, by its pixels alone: ground, colour, shape, size and place. No model.

    ground     the median of the border, and the nearest of COLORS to it
    thing      what differs from the ground; its colour is the median of its inner pixels, and the nearest of COLORS to it
    shape      every outline of scene_shapes is laid over the thing as well as it goes: the one with the largest overlap

Colours are compared in CIELAB, where distances are about those that eyes see.

Shapes: H x W pixels, C = 3 channels, S x S samples around a thing.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from pipeline.sources.scene import COLORS, PLACES, RADII, Thing
from pipeline.sources.scene_drawing import cover
from pipeline.sources.scene_shapes import SHAPES

BORDER = 2  # pixels along each edge that are ground: no thing lies there
MIN_DISTANCE = 10.0  # in CIELAB from the ground; the nearest two colours are 34 apart
INNER = 0.6  # of the distance of most of the thing's pixels: what is nearer to the ground is rim
MIN_PIXELS = 16  # of a thing
MIN_OVERLAP = 0.6  # of thing and outline; below it is no shape
GRID = 48  # samples along each axis, over REACH times the outline's circle
REACH = 1.25
STRIDES = (0.06, 0.02)  # of the outline's radius: how far it is moved, or made larger, while that gives more overlap
LIMIT = 0.2  # of the radius: no farther from the thing's middle and area
STEPS_S = ((np.arange(GRID) + 0.5) / GRID * 2 - 1) * REACH


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture shows; no colour and no shape where there is no thing in it."""

    ground: str
    color: str = ""
    shape: str = ""
    size: str = ""  # "small", "" or "large"
    place: str = ""  # of PLACES
    overlap: float = 0.0  # of thing and outline: intersection over union


def detect(pixels_HWC: np.ndarray) -> Seen:
    """Look at a picture.

    Args:
        pixels_HWC: uint8 RGB.
    """
    height, width, _ = pixels_HWC.shape
    border = np.ones((height, width), bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    ground_C = np.median(pixels_HWC[border], axis=0)
    seen_ground = nearest_color(ground_C)
    distances_HW = np.linalg.norm(to_lab(pixels_HWC) - to_lab(ground_C), axis=-1)
    differs = distances_HW > MIN_DISTANCE
    if differs.sum() < MIN_PIXELS:
        return Seen(seen_ground)
    inner = distances_HW > INNER * np.quantile(distances_HW[differs], 0.75)
    inner = _largest_part(inner & differs)
    thing_C = np.median(pixels_HWC[_without_rim(inner)], axis=0)
    cover_HW = _cover(pixels_HWC, ground_C, thing_C)
    area = float(cover_HW.sum())
    if area < MIN_PIXELS:
        return Seen(seen_ground)
    y, x = (float((np.arange(len(sums)) + 0.5) @ sums) / area for sums in (cover_HW.sum(1), cover_HW.sum(0)))
    fits = [(*_fit(cover_HW, shape, (x, y)), shape) for shape in SHAPES]
    overlap, radius, shape = max(fits)
    side = min(width, height)
    return Seen(
        seen_ground,
        nearest_color(thing_C),
        shape if overlap >= MIN_OVERLAP else "",
        min(RADII, key=lambda word: abs(sum(RADII[word]) / 2 - radius / side)),
        min(PLACES, key=lambda place: np.hypot(PLACES[place][0] - x / width, PLACES[place][1] - y / height)),
        overlap,
    )


def nearest_color(color_C: np.ndarray) -> str:
    """The name of the nearest of COLORS."""
    distances = np.linalg.norm(to_lab(np.array(list(COLORS.values()))) - to_lab(color_C), axis=-1)
    return list(COLORS)[int(distances.argmin())]


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB under D65.

    Args:
        rgb: [..., 3] sRGB, 0 to 255.

    Returns:
        [..., 3] L from 0 to 100, a, b.

    Source: IEC 61966-2-1 and CIE 15.
    """
    c = np.asarray(rgb, np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
    xyz = linear @ matrix.T / matrix.sum(1)  # the sums are the white point
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def _largest_part(mask_HW: np.ndarray) -> np.ndarray:
    """The largest part whose pixels touch along an edge."""
    left, largest = mask_HW.copy(), np.zeros_like(mask_HW)
    while left.sum() > largest.sum():
        part = np.zeros_like(left)
        part.flat[int(left.argmax())] = True
        size = 0
        while (grown := int(part.sum())) > size:
            size = grown
            part[1:] |= part[:-1]
            part[:-1] |= part[1:]
            part[:, 1:] |= part[:, :-1]
            part[:, :-1] |= part[:, 1:]
            part &= left
        left &= ~part
        if size > largest.sum():
            largest = part
    return largest


def _without_rim(mask_HW: np.ndarray) -> np.ndarray:
    """A mask without the pixels at its edge, or all of it where that leaves too little."""
    padded = np.pad(mask_HW, 1)
    inside = mask_HW & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside if inside.sum() >= MIN_PIXELS else mask_HW


def _cover(pixels_HWC: np.ndarray, ground_C: np.ndarray, thing_C: np.ndarray) -> np.ndarray:
    """[H, W] how much of each pixel is the thing, in [0, 1]: where it lies on the way from one colour to the other."""
    way_C = thing_C - ground_C
    return np.clip((pixels_HWC - ground_C) @ way_C / max(float(way_C @ way_C), 1e-9), 0, 1)


def _fit(cover_HW: np.ndarray, shape: str, middle: tuple[float, float]) -> tuple[float, float]:
    """The largest overlap of a thing and an outline, and the outline's radius in pixels: climbed to from the thing's middle and area."""
    outline_SS = _outline(shape)
    area = float(cover_HW.sum())
    base = float(np.sqrt(area / (outline_SS.mean() * (2 * REACH) ** 2)))

    def overlap(at: tuple[float, float, float]) -> float:
        radius, dx, dy = base * (1 + at[0]), base * at[1], base * at[2]
        found_SS = _sample(cover_HW, middle[1] + dy + STEPS_S * radius, middle[0] + dx + STEPS_S * radius)
        cell = (2 * REACH * radius / GRID) ** 2  # pixels that a sample stands for
        common = float(np.minimum(found_SS, outline_SS).sum()) * cell
        return common / (area + float(outline_SS.sum()) * cell - common)

    at = (0.0, 0.0, 0.0)  # larger, to the right, down
    best = overlap(at)
    for stride in STRIDES:
        improved = True
        while improved:
            improved = False
            for axis, sign in product(range(3), (-1, 1)):
                tried = tuple(value + sign * stride * (axis == n) for n, value in enumerate(at))
                if max(map(abs, tried)) <= LIMIT and (found := overlap(tried)) > best:
                    at, best, improved = tried, found, True
    return best, base * (1 + at[0])


def _sample(values_HW: np.ndarray, ys_S: np.ndarray, xs_S: np.ndarray) -> np.ndarray:
    """[S, S] values at every pair of places (pixels, whose middles lie at 0.5), linear between pixels, 0 outside."""
    padded = np.pad(values_HW, 1)
    for axis, at_S in ((0, ys_S), (1, xs_S)):
        at_S = np.clip(at_S + 0.5, 0, padded.shape[axis] - 1.001)
        low_S = at_S.astype(int)
        share_S = (at_S - low_S)[:, None] if axis == 0 else at_S - low_S
        padded = padded.take(low_S, axis) * (1 - share_S) + padded.take(low_S + 1, axis) * share_S
    return padded


@lru_cache(maxsize=len(SHAPES))
def _outline(shape: str) -> np.ndarray:
    """[S, S] how much of each sample an outline covers, in [0, 1]."""
    mask, (x, y) = cover(Thing("white", shape, "", 0.5, 0.5, 0.5 / REACH), GRID, GRID)
    outline_SS = np.zeros((GRID, GRID))
    outline_SS[y : y + mask.height, x : x + mask.width] = np.asarray(mask) / 255
    return outline_SS
