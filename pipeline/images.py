"""Encoded pictures: read the header, decode to upright RGB, resize to cover a crop, cut.

The resize is the reference's: halve with a BOX filter while both sides are at least twice the crop, then BICUBIC, then cut. What comes
before it is not: the reference ignores the EXIF orientation and resizes palette pictures before converting them; here a picture is upright
RGB over white before anything else happens.

Source: Lumina-mGPT, `FlexARItemProcessor` and `center_crop` (arXiv 2408.02657, section 3.1).
"""

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import MgptError
from pipeline.samples import ImageHeader

# What is opened. Not the rest of Pillow's list: EPS would start Ghostscript, and TGA has no signature, so that junk passes for it.
# By format the endings of its files, the first one where it is written.
FILE_ENDINGS = {
    "JPEG": ("jpg", "jpeg"),
    "MPO": ("jpg", "mpo"),  # a JPEG with further ones behind it
    "PNG": ("png",),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "BMP": ("bmp",),
    "TIFF": ("tiff", "tif"),
    "AVIF": ("avif",),
    "JPEG2000": ("jp2", "j2k", "jpx"),
    "PPM": ("ppm", "pgm", "pbm", "pnm"),
}
FORMATS = tuple(FILE_ENDINGS)
PNG_EXIF_MARKS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # one of them is in a PNG that states its orientation
BAND = 256  # rows that are blended at a time: floats take eight times a picture's memory
EXIF_ORIENTATION = 274  # the EXIF tag; values 5 to 8 swap width and height
MAX_PIXELS = 178_956_970  # Pillow's own bound (twice its warning): a picture above it is never decoded, whatever the recipe says


class PictureError(MgptError):
    """These bytes are no picture that can be used. `reason` becomes a counter's name."""

    def __init__(self, reason: str, message: str):
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Crop:
    """How a picture becomes one of a bucket's size: scale it to (scaled_width, scaled_height), then cut at (x, y)."""

    width: int  # pixels of the result
    height: int
    scaled_width: int
    scaled_height: int
    x: int  # of the cut's left edge in the scaled picture
    y: int

    def box(self, image_width: int, image_height: int) -> tuple[int, int, int, int]:
        """The part of the original that remains: x0, y0, x1, y1 in its pixels, rounded."""
        scale_x, scale_y = image_width / self.scaled_width, image_height / self.scaled_height
        corners = (self.x * scale_x, self.y * scale_y, (self.x + self.width) * scale_x, (self.y + self.height) * scale_y)
        x0, y0, x1, y1 = (round(c) for c in corners)
        return x0, y0, x1, y1


def plan_crop(image_size: tuple[int, int], crop_size: tuple[int, int], at: tuple[float, float] = (0.5, 0.5)) -> Crop:
    """Plan how a picture covers a crop.

    Args:
        image_size: Width and height of the upright picture, pixels.
        crop_size: Width and height of the crop, pixels.
        at: Where the cut lies in the slack of each axis: 0 at the left and top, 0.5 in the middle, 1 at the right and bottom.
    """
    (image_width, image_height), (width, height) = image_size, crop_size
    image_width, image_height = _halve(image_width, image_height, width, height)
    scale = max(width / image_width, height / image_height)
    scaled_width, scaled_height = round(image_width * scale), round(image_height * scale)
    x, y = int((scaled_width - width) * at[0]), int((scaled_height - height) * at[1])
    return Crop(width, height, scaled_width, scaled_height, x, y)


def have_same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether one picture is the other enlarged, up to a pixel of each side of the smaller one: what rounding may cost.

    Args:
        first: Width and height, pixels.
        second: Likewise; which is which does not matter.
    """
    small, large = sorted((first, second), key=lambda size: (size[0] * size[1], size[0]))
    lows, highs = zip(*(((few - 1) / many, (few + 1) / many) for few, many in zip(small, large, strict=True)), strict=True)
    return max(lows) <= min(highs)


def apply_crop(image: Image.Image, crop: Crop) -> Image.Image:
    """Resize and cut an upright RGB picture as `plan_crop` said for its size."""
    while image.width >= 2 * crop.width and image.height >= 2 * crop.height:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    if image.size != (crop.scaled_width, crop.scaled_height):
        image = image.resize((crop.scaled_width, crop.scaled_height), Image.Resampling.BICUBIC)
    if image.size != (crop.width, crop.height):
        image = image.crop((crop.x, crop.y, crop.x + crop.width, crop.y + crop.height))
    return image


def read_header(data: bytes) -> ImageHeader:
    """Read size, format and frames without decoding pixels.

    Raises:
        PictureError: `empty_file`, `not_an_image`, `broken_header` or `too_many_pixels`.
    """
    with _opened(data) as image:
        orientation = _orientation(image, data)
        width, height = image.size if orientation not in (5, 6, 7, 8) else image.size[::-1]
        # The further pictures of an MPO are depth or gain maps of the first, as telephones write them: it does not move.
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        return ImageHeader(image.format or "", width, height, len(data), frames, image.mode, orientation)


def decode_rgb(data: bytes, longer_side: int = 0) -> Image.Image:
    """Decode to upright RGB: EXIF orientation applied, any mode converted, alpha laid over white, first frame of several.

    Args:
        longer_side: Pixels that are enough: a JPEG is decoded at a half, a quarter or an eighth of its size where that has them, which is
            far cheaper. 0 takes the whole picture.

    Raises:
        PictureError: as `read_header`, or `broken_image` when the pixels cannot be decoded to the end.
    """
    with _opened(data) as image:
        if longer_side:
            share = longer_side / max(image.size)
            image.draft("RGB", (math.ceil(image.width * share), math.ceil(image.height * share)))
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


def decode_map(data: bytes) -> Image.Image:
    """Decode upright and leave the rest as it is stored: class ids, distances and directions are no colours to convert.

    Returns:
        The first frame, in the mode that the file has: "P" with palette indices, "I;16", "F", ...

    Raises:
        PictureError: as `decode_rgb`.
    """
    with _opened(data) as image:
        image.load()
        return ImageOps.exif_transpose(image)


def decode_thumbnail(data: bytes, side: int) -> Image.Image:
    """Decode to upright RGB with the shorter side at least `side` pixels where the picture has them, cheaply: JPEG's own scaling is used.

    For statistics, never for pixels that are encoded.

    Raises:
        PictureError: as `decode_rgb`.
    """
    with _opened(data) as image:
        image.draft("RGB", (side, side))
        image.load()
        image = to_rgb(ImageOps.exif_transpose(image))
        scale = side / min(image.size)
        if scale < 1:
            image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB, with alpha laid over white as the reference does it (blend in float, truncate)."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_deep_gray(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    rgba = np.asarray(image)
    rgb = rgba[..., :3].copy()
    for top in range(0, len(rgba), BAND):
        band = rgba[top : top + BAND]
        if (band[..., 3] < 255).any():
            alpha = band[..., 3:] / 255
            rgb[top : top + BAND] = (band[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return Image.fromarray(rgb)


def _from_deep_gray(image: Image.Image) -> Image.Image:
    """Pillow clips deep gray at 255 where it should scale: 16 bits are scaled to 8, floats are taken as [0, 1] when they lie in it."""
    values = np.asarray(image, np.float64)
    is_fraction = image.mode == "F" and values.min() >= 0 and values.max() <= 1
    scaled = values * 255 if is_fraction else values if image.mode == "F" else values / 257  # 65535 -> 255
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8), "L")


def _halve(width: int, height: int, crop_width: int, crop_height: int) -> tuple[int, int]:
    while width >= 2 * crop_width and height >= 2 * crop_height:
        width, height = width // 2, height // 2
    return width, height


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open with Pillow; whatever goes wrong inside the block becomes a PictureError."""
    if not data:
        raise PictureError("empty_file", "0 bytes")
    opened = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's bomb warning (the bound above decides), broken EXIF, odd TIFF tags
            with Image.open(io.BytesIO(data), formats=_known_formats()) as image:
                opened = True
                if image.width * image.height > MAX_PIXELS:
                    raise PictureError("too_many_pixels", f"{image.width} x {image.height}")
                yield image
    except Image.DecompressionBombError as error:
        raise PictureError("too_many_pixels", str(error)) from error
    except UnidentifiedImageError as error:
        raise PictureError("not_an_image", _looks_like(data)) from error
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise _broken(error, opened) from error
    except (RuntimeError, struct.error, zlib.error) as error:
        raise _broken(error, opened) from error
    except MemoryError as error:
        raise PictureError("out_of_memory", "the picture does not fit into memory") from error


def _broken(error: Exception, opened: bool) -> PictureError:
    """Pillow's plug-ins raise nearly anything on damaged files: the two lists above come from feeding them damaged files at random."""
    return PictureError("broken_image" if opened else "broken_header", f"{type(error).__name__}: {error}")


@lru_cache(maxsize=1)
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # an older Pillow knows no AVIF


def _orientation(image: Image.Image, data: bytes) -> int:
    """The EXIF orientation, 1 to 8, without decoding: to look for EXIF behind a PNG's pixels, Pillow would decode them."""
    if image.format == "PNG" and not any(mark in data for mark in PNG_EXIF_MARKS):
        return 1
    value = image.getexif().get(EXIF_ORIENTATION, 1)
    return int(value) if value in range(1, 9) else 1


def _looks_like(data: bytes) -> str:
    head = data[:64].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return f"no known picture format; the first bytes are {data[:8]!r}"
