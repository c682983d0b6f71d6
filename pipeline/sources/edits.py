"""Editing sessions as samples: a picture, and what it looks like after each instruction.

images    image, edited_1, edited_2, ...        and mask_1, mask_2, ... where there are masks
metadata  instruction_1, instruction_2, ...     in the order in which they are done, one upon the other
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.roles import EDITED, numbered
from pipeline.samples import Sample


@dataclass(frozen=True, slots=True)
class Edit:
    """One turn of a session."""

    instruction: str
    picture: bytes  # encoded, after the edit
    mask: bytes | None = None  # encoded; where it changes the picture before


def make_edit_sample(key: str, picture: bytes, edits: Sequence[Edit], metadata: Mapping[str, Any]) -> Sample:
    """A session as a sample.

    Args:
        picture: Before the first edit.
        metadata: What else is known.
    """
    images = {"image": picture}
    instructions = {}
    for number, edit in enumerate(edits, start=1):
        images[numbered(EDITED, number)] = edit.picture
        if edit.mask is not None:
            images[numbered("mask", number)] = edit.mask
        instructions[numbered("instruction", number)] = edit.instruction
    return Sample(key, "", images, metadata={**metadata, **instructions})
