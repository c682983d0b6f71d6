"""Samples with pictures of several shapes, for captioners."""

import io

import numpy as np
from PIL import Image

from pipeline.samples import Sample

SIZES = ((60, 40), (32, 64), (30, 100), (90, 33))  # width, height


def picture(number: int, size: tuple[int, int] | None = None) -> bytes:
    width, height = size or SIZES[number % len(SIZES)]
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def samples(count: int, first: int = 0) -> list[Sample]:
    return [Sample(f"{number:03}", f"original {number}", {"image": picture(number)}) for number in range(first, first + count)]


def broken(key: str) -> Sample:
    return Sample(key, "broken", {"image": picture(0)[:120]})
