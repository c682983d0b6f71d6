"""Aspect-ratio buckets: the sizes to which pictures are cropped before the VQ encoder.

On the ground floor, because filters judge what a bucket costs a picture (crop loss, upscaling) and the tokenizer cuts to it.

Source: Lumina-mGPT (arXiv 2408.02657), `generate_crop_size_list` and the choice in `var_center_crop`.
"""

from functools import lru_cache

GRID = 32  # pixels a step of a size token; every bucket's sides are multiples of it
MAX_ASPECT_RATIO = 4.0  # longer side over shorter side


@lru_cache(maxsize=64)
def make_buckets(target_size: int) -> tuple[tuple[int, int], ...]:
    """The sizes for a target: 25, 37, 49, 73 and 97 of them at 256, 384, 512, 768 and 1024.

    Args:
        target_size: Side of the square bucket in pixels, a multiple of 32; the others have about its area, never more.

    Returns:
        (width, height) in pixels, from the widest to the tallest.

    Raises:
        ValueError: `target_size` is no positive multiple of 32.
    """
    if target_size <= 0 or target_size % GRID:
        raise ValueError(f"a target size is a positive multiple of {GRID}, got {target_size}")
    area = (target_size // GRID) ** 2  # in grids
    sizes = []
    width, height = area, 1
    while width > 0:
        if max(width, height) <= MAX_ASPECT_RATIO * min(width, height):
            sizes.append((width * GRID, height * GRID))
        if (height + 1) * width <= area:
            height += 1
        else:
            width -= 1
    return tuple(sizes)


@lru_cache(maxsize=65_536)
def choose_bucket(width: int, height: int, buckets: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """The bucket that keeps most of a width x height picture when the picture is scaled to cover it; ties go to the larger tuple."""
    if (width, height) in buckets:
        return width, height
    return max(buckets, key=lambda bucket: (kept_fraction(width, height, bucket), bucket))


def fit_bucket(width: int, height: int, target_size: int, smaller_targets: tuple[int, ...] = ()) -> tuple[int, int]:
    """The bucket of a width x height picture: that of the largest target which does not enlarge it.

    Args:
        target_size: Tried first.
        smaller_targets: Tried after it, the largest first; where all of them enlarge the picture, the smallest is taken.

    Returns:
        (width, height) in pixels.
    """
    for target in (target_size, *sorted(smaller_targets, reverse=True)):
        bucket = choose_bucket(width, height, make_buckets(target))
        if cover_scale(width, height, bucket) <= 1:
            break
    return bucket


def kept_fraction(width: int, height: int, bucket: tuple[int, int]) -> float:
    """The share of a width x height picture's area that a covering crop to `bucket` keeps, in (0, 1]."""
    scale_x, scale_y = bucket[0] / width, bucket[1] / height
    return min(scale_x, scale_y) / max(scale_x, scale_y)


def cover_scale(width: int, height: int, bucket: tuple[int, int]) -> float:
    """The factor by which a width x height picture is scaled to cover `bucket`; over 1 it is enlarged."""
    return max(bucket[0] / width, bucket[1] / height)
