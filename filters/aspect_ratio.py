"""Drop pictures that are too long for their width, or too wide for their height."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.pictures import one_score, worst
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class AspectRatio:
    """Keep a sample whose most elongated picture is within the bound."""

    scores: ClassVar[tuple[str, ...]] = ("aspect_ratio",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"max_aspect": "aspect_ratio"}
    measured_by: ClassVar[tuple[str, ...]] = ("roles",)

    max_aspect: float = 3.0  # longer side over shorter side
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(sample) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "too_elongated" if scores["aspect_ratio"] > self.max_aspect else ""

    def _measure(self, sample: Sample) -> Measured:
        aspect = worst(sample, self.roles, lambda h: max(h.width, h.height) / min(h.width, h.height), max)
        return one_score("aspect_ratio", aspect)
