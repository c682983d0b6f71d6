"""What a detector is asked to look for, and the form of its boxes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from filters.annotators.overlaps import Found
from filters.annotators.phrases import Span, candidates, find_label, plain
from pipeline.errors import RecipeError
from pipeline.samples import Box

Phrases = Literal["auto", "grounded", "chunks", "none"]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and what counts as found."""

    phrases: Phrases
    labels: tuple[str, ...]
    max_phrases: int
    box_threshold: float
    text_threshold: float
    batch_size: int  # rows that are asked at once


@dataclass(frozen=True, slots=True)
class DetectRequest:
    """Pictures with their captions."""

    pictures: Sequence[np.ndarray]  # of uint8 [H, W, 3]
    captions: Sequence[str]
    search: Search


@dataclass(frozen=True, slots=True)
class Sought:
    """A phrase that is put to a model by itself."""

    phrase: str
    span: Span | None  # in the caption
    is_label: bool

    def found(self, box: Box, confidence: float) -> Found:
        return Found(box, confidence, self.phrase, self.span, self.span, self.is_label)


def seek(caption: str, search: Search, *, with_caption: bool) -> list[Sought]:
    """The phrases of a sample that are put to the model by themselves.

    Args:
        with_caption: The caption's candidates are among them, unless the search says otherwise.
    """
    labels = [Sought(label, find_label(label, caption), True) for label in search.labels]
    if search.phrases == "none" or not with_caption:
        return labels
    known = {plain(label) for label in search.labels}
    spans = candidates(caption, search.max_phrases)
    return [Sought(caption[slice(*span)], span, False) for span in spans if plain(caption[slice(*span)]) not in known] + labels


def fitting(sought: Sequence[Sought], count: Callable[[str], int], max_tokens: int) -> Iterator[tuple[Sought, int]]:
    """Those that the model can be asked, and their tokens. A candidate that is too long is no phrase, and left out.

    Raises:
        RecipeError: A label is too long.
    """
    for each in sought:
        num_tokens = count(each.phrase)
        if num_tokens <= max_tokens:
            yield each, num_tokens
        elif each.is_label:
            raise RecipeError(f"annotator detect: label {each.phrase!r} has {num_tokens} tokens, and the model holds {max_tokens}")


def corners(box: Sequence[float], stretch_x: float = 1.0, stretch_y: float = 1.0) -> Box | None:
    """Corners of a box that is given by its center and size, cut at the picture's borders; None where nothing of it lies in the picture.

    Args:
        stretch_x: What the box's fractions are to be multiplied with to be the picture's.
    """
    x, y, width, height = box
    x0, x1 = ((x + side * width / 2) * stretch_x for side in (-1, 1))
    y0, y1 = ((y + side * height / 2) * stretch_y for side in (-1, 1))
    x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in (x0, y0, x1, y1))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
