"""Drop pictures that are not safe for work, by a head on CLIP's picture vector.

Source: LAION's CLIP-based NSFW detector; its score lies on a scale from 0 to 1. Those for L/14 and B/32 belong to OpenAI's weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from filters.heads import PROBABILITIES, HeadFile
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class Safety:
    """Keep a sample none of whose pictures is likely to be unsafe. Off without weights."""

    scores: ClassVar[tuple[str, ...]] = ("nsfw",)
    needs: ClassVar[Needs] = Needs()
    needs_clip: ClassVar[bool] = True
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"max_score": (0.0, 1.0)}
    thresholds: ClassVar[Mapping[str, str]] = {"max_score": "nsfw"}
    measured_by: ClassVar[tuple[str, ...]] = ("weights",)

    weights: str = ""  # .pth or .safetensors; see heads.py for what is recognised
    max_score: float = 0.3  # on a scale from 0 to 1

    @cached_property
    def head_file(self) -> HeadFile:
        return HeadFile(self.weights, PROBABILITIES, linear_is_probability=True, where="filter safety")

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return self.head_file.measure(samples, "nsfw", max)

    def judge(self, scores: Mapping[str, float]) -> str:
        return "unsafe" if scores["nsfw"] > self.max_score else ""
