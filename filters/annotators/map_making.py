"""What annotators of maps share: which samples they are asked about, the picture that they are shown, how a map is stored.

A map is a gray PNG under a role of its own. It has the proportions of the picture that was shown, which are the main picture's, so that
both are cut alike later.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from filters.annotators.held_answers import HeldAnswers, Outcome
from filters.annotators.network import Refused
from filters.pictures import show
from pipeline.errors import SampleError
from pipeline.images import read_header
from pipeline.roles import MAPS
from pipeline.samples import Sample

MIN_SIDE = 16  # pixels of the shorter side of what is shown: networks halve a picture several times

Found = TypeVar("Found")


class MapMaker(Protocol):
    """The options that all of them have."""

    @property
    def max_side(self) -> int: ...

    @property
    def replace_existing(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class GrayMap:
    """What was found in a picture."""

    values: np.ndarray  # [H, W] uint8 or uint16
    metadata: Mapping[str, Any] = field(default_factory=dict)  # that the sample gets with it


def add_maps(
    samples: list[Sample],
    role: str,
    held: HeldAnswers,
    *,
    maker: MapMaker,
    draw: Callable[[list[np.ndarray]], Sequence[GrayMap | Refused]],
) -> list[Sample]:
    """The samples, each that has a picture with a map under `role`. A map that is there already stays, unless it is to be replaced.

    Args:
        draw: The maps of pictures uint8 [H, W, 3], each of its picture's size.

    Raises:
        SampleError: A picture cannot be decoded, or not be used.
    """

    def is_asked(sample: Sample) -> bool:
        return has_photo(sample) and (maker.replace_existing or role not in sample.images)

    def outcomes(new: list[Sample]) -> list[Outcome]:
        return [
            answer if isinstance(answer, SampleError) else with_map(sample, role, answer)
            for sample, answer in zip(new, ask_shown(new, role, lambda _, shown: draw(shown), maker.max_side), strict=True)
        ]

    return held.annotate(samples, is_asked, outcomes)


def ask_shown(
    samples: list[Sample], kind: str, ask: Callable[[list[Sample], list[np.ndarray]], Sequence[Found | Refused]], max_side: int
) -> list[Found | SampleError]:
    """Ask about the main pictures of samples; of one that cannot be shown or used, the error says so.

    Args:
        kind: Of the annotator: how the reason begins.
        ask: Given the samples that can be shown, and their pictures uint8 [H, W, 3].
    """
    shown: list[tuple[Sample, np.ndarray]] = []
    answers: dict[int, Found | SampleError] = {}
    for sample in samples:
        try:
            picture = np.asarray(show(sample, max_side))
        except SampleError as error:
            answers[id(sample)] = error
            continue
        height, width = picture.shape[:2]
        if min(height, width) < MIN_SIDE:
            answers[id(sample)] = _unusable(sample, kind, f"{width} x {height} pixels; the shorter side wants {MIN_SIDE}")
        else:
            shown.append((sample, picture))
    found = ask([sample for sample, _ in shown], [picture for _, picture in shown]) if shown else []
    for (sample, _), answer in zip(shown, found, strict=True):
        answers[id(sample)] = _unusable(sample, kind, answer.message) if isinstance(answer, Refused) else answer
    return [answers[id(sample)] for sample in samples]


def has_photo(sample: Sample) -> bool:
    """Whether there is a picture of which a map can be made, and which is none itself."""
    return sample.main_role is not None and sample.main_role not in MAPS


def with_map(sample: Sample, role: str, found: GrayMap) -> Sample:
    """The sample with a map, its header and what is to be said of it."""
    data = encode_gray(found.values)
    return replace(
        sample,
        images={**sample.images, role: data},
        headers={**sample.headers, role: read_header(data)},
        metadata={**sample.metadata, **found.metadata},
    )


def encode_gray(values: np.ndarray) -> bytes:
    """A PNG of [H, W]: 8 bits for uint8, 16 for uint16. The same values give the same bytes."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def refuse_sizes(*counts: int) -> None:
    """
    Raises:
        ValueError: One of them is below 1.
    """
    if min(counts) < 1:
        raise ValueError(f"numbers of pixels, pictures and persons are 1 or more, got {min(counts)}")


def made_by(model: str, commit: str) -> str:
    """A model as metadata name it: "org/name@commit"; a folder has no commit."""
    return f"{model}@{commit}" if commit else model


def _unusable(sample: Sample, kind: str, message: str) -> SampleError:
    return SampleError(sample.key, f"{kind}_picture_unusable", message)
