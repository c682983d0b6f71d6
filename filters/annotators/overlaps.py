"""Which of a picture's boxes remain, and which words of the caption each of them keeps.

The most confident box is looked at first; of equals, the one that the model gave first. Where the span of a box overlaps that of a kept
one without being equal to it,

    a label                                              keeps its box, and loses its span
    the same core: "brown dog" and "dog"                 takes the kept one's span: both say the same thing
    its core lies in the kept span: "hat", "man in hat"  is left out: those words are taken
    otherwise: "man in hat", "hat"                       is narrowed to its core, "man"

Then a box whose intersection over union with a kept box of the same phrase exceeds `max_overlap` is left out. So the spans that remain are
equal or apart, and equal ones are several things of one name ("two dogs").
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from filters.annotators.phrases import Span, plain
from pipeline.boxes import box_overlap
from pipeline.samples import Box, Detection


@dataclass(frozen=True, slots=True)
class Found:
    """A box that a model gave."""

    box: Box
    confidence: float
    phrase: str  # the caption's own characters; of a label, as the recipe writes it
    span: Span | None  # in the caption
    core: Span | None  # the words that name the thing, within the span
    is_label: bool = False  # looked for whatever the caption says


def choose(found: Sequence[Found], caption: str, *, max_overlap: float, max_detections: int) -> tuple[Detection, ...]:
    """What remains, the most confident first."""
    kept: list[Found] = []
    for given in sorted(found, key=lambda each: -each.confidence):
        if len(kept) == max_detections:
            break
        each = _settle(given, kept, caption)
        if each is not None and not any(_same_phrase(each, other) and box_overlap(each.box, other.box) > max_overlap for other in kept):
            kept.append(each)
    return tuple(Detection(each.phrase, each.box, each.confidence, each.span) for each in kept)


def _settle(each: Found, kept: Sequence[Found], caption: str) -> Found | None:
    """The box with the words that those who were first leave it; None where they leave none."""
    for other in kept:
        if each.span is None or other.span is None or each.span == other.span or not _touch(each.span, other.span):
            continue
        if each.is_label:
            return replace(each, span=None, core=None)
        if each.core is None or each.core == other.core:
            return replace(each, span=other.span, phrase=caption[slice(*other.span)])
        if _touch(each.core, other.span):
            return None
        each = replace(each, span=each.core, phrase=caption[slice(*each.core)])
    return each


def _same_phrase(first: Found, second: Found) -> bool:
    if first.span is None and second.span is None:
        return plain(first.phrase) == plain(second.phrase)
    return first.span == second.span


def _touch(first: Span, second: Span) -> bool:
    return first[0] < second[1] and second[0] < first[1]
