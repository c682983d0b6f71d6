"""Fields that COCO's JSON has in common with what was made of it, checked and brought to fractions."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.images import PictureError, have_same_shape, read_header
from pipeline.samples import Box
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.text import is_clean

PixelBox = tuple[float, float, float, float]  # x0, y0, x1, y1


def text(record: Mapping[str, Any], field: str) -> str:
    """A text that is not blank, to the letter.

    Raises:
        BadRecord: It is none, or no UTF-8.
    """
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRecord("bad_field", f"{field} is no text but {value!r}"[:200])
    if not is_clean(value):
        raise BadRecord("text_not_utf8", f"{field}: {value}"[:200])
    return value


def size(record: Mapping[str, Any]) -> tuple[int, int]:
    """`width` and `height`, pixels.

    Raises:
        BadRecord: One of them is no whole number above 0.
    """
    for field in ("width", "height"):
        value = record.get(field)
        if type(value) is not int or value < 1:
            raise BadRecord("bad_field", f"{field} is no number of pixels but {value!r}"[:200])
    return record["width"], record["height"]


def numbers(value: Any, count: int, what: str) -> tuple[float, ...]:
    """As many finite numbers as are wanted.

    Args:
        what: The field's name and what it wants, for the message: "bbox: wants [x, y, width, height]".

    Raises:
        BadRecord: Something else.
    """
    if not isinstance(value, list | tuple) or len(value) != count or not all(_is_number(number) for number in value):
        raise BadRecord("bad_field", f"{what}, got {value!r}"[:200])
    return tuple(float(number) for number in value)


def corners(bbox: Any) -> PixelBox:
    """The corners of COCO's [x, y, width, height].

    Raises:
        BadRecord: It is no such list, or a side is below 0.
    """
    x, y, width, height = numbers(bbox, 4, "bbox: wants [x, y, width, height]")
    if width < 0 or height < 0:
        raise BadRecord("bad_field", f"bbox: a side is below 0 in {bbox!r}")
    return x, y, x + width, y + height


def as_fractions(box: PixelBox, width: int, height: int) -> Box | None:
    """What of a box lies in the picture; None where that has no area: COCO has such boxes."""
    x0, x1 = (min(max(x / width, 0.0), 1.0) for x in (box[0], box[2]))
    y0, y1 = (min(max(y / height, 0.0), 1.0) for y in (box[1], box[3]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def check_size(picture: bytes, stated: tuple[int, int]) -> None:
    """See whether fractions of the size that a file states are fractions of the picture.

    A picture that cannot be opened is none of this function's: it fails where all pictures are opened.

    Args:
        picture: The encoded picture.
        stated: Width and height, pixels. COCO's are those of the stored pixels, as its boxes are.

    Raises:
        BadRecord: The upright picture has other proportions, so it was cut, or its EXIF orientation turns it: `size_differs`.
    """
    try:
        header = read_header(picture)
    except PictureError:
        return
    if not have_same_shape((header.width, header.height), stated):
        turned = f" after its EXIF orientation {header.orientation}" if header.orientation > 1 else ""
        message = (
            f"the picture has {header.width} x {header.height} pixels{turned}, which is no copy of the stated {stated[0]} x {stated[1]}"
        )
        raise BadRecord("size_differs", message)


def scalars(record: Mapping[str, Any], without: tuple[str, ...]) -> dict[str, Any]:
    """The other fields that are a text, a number or a truth value, for the metadata.

    Raises:
        BadRecord: A text is no UTF-8.
    """
    found = {key: value for key, value in record.items() if key not in without and isinstance(value, str | int | float | bool)}
    if not is_clean(found):
        raise BadRecord("metadata_not_utf8", str(found)[:200])
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
