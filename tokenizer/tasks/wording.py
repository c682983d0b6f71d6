"""The words of a task: the paper's by default, others by option, one of a list drawn for each sample.

    "Generate an image of {width}x{height} according to the following prompt:\\n{caption}"
    "Depth estimation. <|image|>"

Fields in braces are filled in; images stand where the mark is, in order. What is filled in is text, whatever it says.
"""

import random
import string
from collections.abc import Collection, Mapping, Sequence

from pipeline.samples import IMAGE_MARK, ImageRef
from tokenizer.tasks.task import pick


def check_wordings(
    name: str, wordings: Sequence[str], fields: Collection[str] = (), num_images: int = 0, *, optional: Collection[str] = ()
) -> None:
    """
    Args:
        name: Of the option, for the message.
        fields: Which have to occur in each.
        num_images: How often the image's mark has to.
        optional: Further fields that may occur.

    Raises:
        ValueError: One of the wordings is none for this task.
    """
    if not wordings:
        raise ValueError(f"{name}: at least one is wanted")
    for wording in wordings:
        try:
            found = {field for _, field, _, _ in string.Formatter().parse(wording) if field is not None}
        except ValueError as error:
            raise ValueError(f"{name}: {wording!r}: {error}; a brace itself is written twice") from error
        if not set(fields) <= found <= {*fields, *optional}:
            wanted = " and ".join(f"{{{field}}}" for field in fields) or "no field in braces"
            wanted += "".join(f", perhaps {{{field}}}" for field in optional)
            raise ValueError(f"{name}: wants {wanted}, got {wording!r}")
        if wording.count(IMAGE_MARK) != num_images:
            raise ValueError(f"{name}: wants {IMAGE_MARK} {num_images} times, got {wording!r}")


def pick_wording(wordings: Sequence[str], rng: random.Random) -> str:
    """One of them; no dice are thrown for a single one."""
    return pick(wordings, rng)


def say(wording: str, values: Mapping[str, object] | None = None, images: Sequence[ImageRef] = ()) -> tuple[str | ImageRef, ...]:
    """A turn's content: the wording filled in, with images at their marks.

    Raises:
        ValueError: Marks and images do not match in number.
    """
    content: list[str | ImageRef] = []
    for piece, image in zip(wording.split(IMAGE_MARK), [*images, None], strict=True):
        if text := piece.format_map(values or {}):
            content.append(text)
        if image is not None:
            content.append(image)
    return tuple(content)
