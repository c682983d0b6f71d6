"""Drop pictures with a watermark, by a head on CLIP's picture vector.

LAION's own watermark detector is a network over pixels and does not fit here: this wants a head that was trained on CLIP's vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from filters.heads import PROBABILITIES, HeadFile
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class Watermark:
    """Keep a sample none of whose pictures is likely to bear a watermark. Off without weights."""

    scores: ClassVar[tuple[str, ...]] = ("watermark",)
    needs: ClassVar[Needs] = Needs()
    needs_clip: ClassVar[bool] = True
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"max_score": (0.0, 1.0)}
    thresholds: ClassVar[Mapping[str, str]] = {"max_score": "watermark"}
    measured_by: ClassVar[tuple[str, ...]] = ("weights",)

    weights: str = ""  # .pth or .safetensors; see heads.py for what is recognised
    max_score: float = 0.5  # on a scale from 0 to 1

    @cached_property
    def head_file(self) -> HeadFile:
        return HeadFile(self.weights, PROBABILITIES, linear_is_probability=True, where="filter watermark")

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return self.head_file.measure(samples, "watermark", max)

    def judge(self, scores: Mapping[str, float]) -> str:
        return "watermarked" if scores["watermark"] > self.max_score else ""
