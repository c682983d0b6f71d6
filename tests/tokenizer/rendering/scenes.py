"""One scene as picture, class ids, depth and normals, each at any size: hard-edged regions whose truth is known at every pixel."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pipeline.images import read_header
from pipeline.samples import Pose, Sample

COLORS = np.array([(240, 240, 240), (200, 30, 30), (30, 180, 40), (40, 60, 220), (230, 200, 20)], np.uint8)
CLASSES = np.array([0, 1, 7, 100, 255], np.uint8)  # what the label map stores
NEARNESS = np.array([1_000, 20_000, 35_000, 50_000, 61_000], np.uint16)
NORMALS = np.array([(0, 0, 1), (0.6, 0, 0.8), (-0.6, 0, 0.8), (0, -0.8, 0.6), (2 / 3, 1 / 3, -2 / 3)])


def regions(width: int, height: int) -> np.ndarray:
    """[H, W]: which region each pixel's middle lies in."""
    x, y = (np.arange(width) + 0.5)[None] / width, (np.arange(height) + 0.5)[:, None] / height
    ids = np.zeros((height, width), np.uint8)
    ids[(x > 0.07) & (x < 0.41) & (y > 0.13) & (y < 0.63)] = 1
    ids[(x - 0.66) ** 2 + (y - 0.4) ** 2 < 0.05] = 2
    ids[(y > 0.7) & (x + y > 1.1)] = 3
    ids[(abs(x - 0.5) < 0.11) & (abs(y - 0.5) < 0.17)] = 4
    return ids


def png(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def as_normals(vectors: np.ndarray) -> np.ndarray:
    return np.rint((vectors + 1) * 127.5).astype(np.uint8)


def picture(width: int, height: int) -> bytes:
    return png(COLORS[regions(width, height)])


def maps(width: int, height: int) -> dict[str, bytes]:
    ids = regions(width, height)
    return {
        "segmentation": png(CLASSES[ids]),
        "depth": png(NEARNESS[ids]),
        "normal": png(as_normals(NORMALS)[ids]),
        "mask": png(np.where(ids == 4, 255, 0).astype(np.uint8)),
        "edited_1": png(COLORS[::-1][ids]),
    }


def make_sample(images: Mapping[str, bytes], poses: tuple[Pose, ...] = (), **metadata: object) -> Sample:
    headers = {role: read_header(data) for role, data in images.items()}
    return Sample("a", images=dict(images), headers=headers, poses=poses, metadata=metadata)


def inner(classes: np.ndarray, reach: int) -> np.ndarray:
    """[H, W] bool: pixels whose neighbours up to `reach` away are of their class, all of them inside the picture."""
    result = np.zeros(classes.shape, bool)
    windows = np.lib.stride_tricks.sliding_window_view(classes, (2 * reach + 1,) * 2)
    result[reach:-reach, reach:-reach] = windows.min((2, 3)) == windows.max((2, 3))
    return result
