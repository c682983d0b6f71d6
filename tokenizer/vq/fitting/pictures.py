"""Pictures in memory, and crops from them: the data of the VQGAN's trainer.

A crop is a rectangle of the picture, of any size between the crop's own and the largest that fits, brought to the crop's size: so the
network sees fine grain as well as whole scenes. What a crop shows depends on its dice alone, so that each rank cuts only its own.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.errors import RecipeError
from pipeline.images import PictureError, decode_rgb, read_header
from pipeline.samples import BadSample, Sample
from pipeline.sources import Source

UNIT_SIZE = 256  # pictures read from a source at a time
MAX_PIXELS = 40_000_000  # larger pictures are left out: decoding one takes gigabytes and yields no more crops than another


@dataclass(frozen=True)
class CropOptions:
    """How crops are changed."""

    swapped_colors: float = 0.0  # share of crops whose channels change places
    jitter: float = 0.0  # largest change of brightness and contrast, as a share


@dataclass(frozen=True)
class Pool:
    """Upright RGB pictures of one source, and how often they are drawn."""

    pictures: list[Image.Image]
    weight: float
    num_bad: int  # records and pictures that could not be used: broken, too small, far too large
    complete: bool  # False: the source holds more than the memory allowed


def load_pool(source: Source, weight: float, max_side: int, min_side: int, max_bytes: int) -> Pool:
    """Decode a source's pictures and keep them in memory.

    Args:
        source: What to read.
        weight: Share of crops, relative to other pools.
        max_side: Pixels of the shorter side; larger pictures are reduced.
        min_side: Pixels of the shorter side; smaller pictures are left out.
        max_bytes: Of decoded pixels; reading ends when they are reached.

    Raises:
        RecipeError: No picture could be used.
    """
    pictures: list[Image.Image] = []
    num_bad = num_bytes = 0
    complete = True
    for unit in source.plan(UNIT_SIZE):
        for sample in source.read(unit):
            if num_bytes >= max_bytes:
                complete = False
                break
            picture = _usable(sample, min_side, max_side)
            if picture is None:
                num_bad += 1
                continue
            pictures.append(picture)
            num_bytes += picture.width * picture.height * 3
    if not pictures:
        raise RecipeError(f"data: no picture in the source could be used ({num_bad} could not)")
    return Pool(pictures, weight, num_bad, complete)


def draw_crop(pools: list[Pool], size: tuple[int, int], options: CropOptions, rng: np.random.Generator) -> np.ndarray:
    """A random crop, mirrored half of the time.

    Args:
        pools: Drawn from by their weights.
        size: Width and height in pixels.
        options: How it is changed.
        rng: The only dice.

    Returns:
        uint8 [height, width, 3].
    """
    weights = np.array([pool.weight for pool in pools])
    pictures = pools[rng.choice(len(pools), p=weights / weights.sum())].pictures
    picture = pictures[rng.integers(len(pictures))]
    largest = min(picture.width / size[0], picture.height / size[1])
    scale = min(largest, max(largest, 1) ** rng.random())  # uniform in the logarithm; small pictures are enlarged
    width, height = (max(1, min(bound, round(side * scale))) for side, bound in zip(size, picture.size, strict=True))
    x, y = rng.integers(picture.width - width + 1), rng.integers(picture.height - height + 1)
    crop = np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=(x, y, x + width, y + height), reducing_gap=2.0))
    if rng.random() < options.swapped_colors:
        crop = crop[:, :, rng.permutation(3)]
    if options.jitter:
        gain, shift = 1 + options.jitter * rng.uniform(-1, 1), 255 * options.jitter * rng.uniform(-1, 1) / 2
        crop = ((crop - 127.5) * gain + 127.5 + shift).clip(0, 255).round().astype(np.uint8)
    return crop[:, :: rng.choice((-1, 1))]


def central_squares(pools: list[Pool], size: int) -> np.ndarray:
    """The middle of every picture.

    Returns:
        uint8 [N, size, size, 3].
    """
    squares = []
    for picture in (picture for pool in pools for picture in pool.pictures):
        side = min(picture.size)
        x, y = (picture.width - side) // 2, (picture.height - side) // 2
        squares.append(np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=(x, y, x + side, y + side), reducing_gap=2.0)))
    return np.stack(squares)


def _usable(sample: Sample | BadSample, min_side: int, max_side: int) -> Image.Image | None:
    """The picture, reduced; None for what is broken, too small or far too large."""
    if isinstance(sample, BadSample) or "image" not in sample.images:
        return None
    data = sample.images["image"]
    try:
        header = read_header(data)
        if header.width * header.height > MAX_PIXELS or min(header.width, header.height) < min_side:
            return None
        picture = decode_rgb(data)
    except PictureError:
        return None
    shorter = min(picture.size)
    if shorter <= max_side:
        return picture
    size = (round(picture.width * max_side / shorter), round(picture.height * max_side / shorter))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
