"""Which pictures of a sample a filter or an annotator looks at, and which verdict several of them get."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from PIL import Image

from pipeline.errors import SampleError
from pipeline.images import PictureError, decode_rgb
from pipeline.samples import ImageHeader, Sample
from pipeline.stage import Measured

_PLAIN_ROLE = re.compile(r"image(_\d+)?")

Found = TypeVar("Found")


def judged_roles(sample: Sample, roles: tuple[str, ...]) -> list[str]:
    """The sample's roles among `roles`; of an empty `roles`, its plain pictures: `image`, `image_1`, ...

    Maps (depth, segmentation, ...) and edits belong to a plain picture and share its fate: they may well be flat, or small in bytes.
    """
    return [role for role in sample.images if (role in roles if roles else _PLAIN_ROLE.fullmatch(role))]


def worst(sample: Sample, roles: tuple[str, ...], measure: Callable[[ImageHeader], float], choose: Callable[..., float]) -> float | None:
    """The lowest or highest (`choose` is min or max) measure of the judged pictures; None where there is none to judge."""
    values = [measure(sample.headers[role]) for role in judged_roles(sample, roles)]
    return choose(values) if values else None


def decoded(sample: Sample, roles: tuple[str, ...], decode: Callable[[bytes], Image.Image]) -> Iterator[Image.Image]:
    """The judged pictures, one after the other.

    Raises:
        SampleError: One of them cannot be decoded.
    """
    return (read_picture(sample, role, decode) for role in judged_roles(sample, roles))


def read_picture(sample: Sample, role: str, read: Callable[[bytes], Found]) -> Found:
    """What `read` finds of a sample's picture.

    Raises:
        SampleError: It cannot be decoded.
    """
    try:
        return read(sample.images[role])
    except PictureError as error:
        raise SampleError(sample.key, error.reason, f"{role}: {error.message}") from error


def show(sample: Sample, max_side: int) -> Image.Image:
    """The main picture, upright RGB, no side above `max_side` pixels, in its proportions.

    Raises:
        SampleError: It cannot be decoded.
    """
    role = sample.main_role
    assert role is not None, "samples without a picture are not asked about"
    image = read_picture(sample, role, partial(decode_rgb, longer_side=max_side))
    image.thumbnail((max_side, max_side), Image.Resampling.BICUBIC, reducing_gap=None)
    return image


def one_score(name: str, value: float | None) -> Measured:
    """A single score; where there is no picture, there is nothing to judge."""
    return Measured() if value is None else Measured({name: float(value)})
