"""Drop pictures that are too long for their width, or too wide for their height."""

from dataclasses import dataclass
from typing import ClassVar

from filters.pictures import worst
from pipeline.samples import Sample, Verdict
from pipeline.stage import Needs


@dataclass(frozen=True)
class AspectRatio:
    """Keep a sample whose most elongated picture is within the bound."""

    scores: ClassVar[tuple[str, ...]] = ("aspect_ratio",)
    needs: ClassVar[Needs] = Needs()

    max_aspect: float = 3.0  # longer side over shorter side
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def setup(self) -> None:
        pass

    def judge(self, samples: list[Sample]) -> list[Verdict]:
        return [self._judge(sample) for sample in samples]

    def _judge(self, sample: Sample) -> Verdict:
        aspect = worst(sample, self.roles, lambda h: max(h.width, h.height) / min(h.width, h.height), max)
        if aspect is None:
            return Verdict(True)
        scores = {"aspect_ratio": aspect}
        return Verdict(False, "too_elongated", scores) if aspect > self.max_aspect else Verdict(True, scores=scores)
