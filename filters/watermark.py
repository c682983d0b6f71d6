"""Drop pictures with a watermark, by a head on CLIP's picture vector.

LAION's own watermark detector is a network over pixels and does not fit here: this wants a head that was trained on CLIP's vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from filters.clip import ClipModel
from filters.clip_stage import image_embeddings
from filters.heads import PROBABILITIES, Head, check_dimension, read_head
from pipeline import paths
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

    def check(self) -> None:
        self._read()

    def check_clip(self, clip: ClipModel) -> None:
        check_dimension(self._read(), clip, "filter watermark")

    def fingerprint(self) -> str:
        return paths.sha256(self.weights)

    def setup(self) -> None:
        _ = self.head

    def measure(self, samples: list[Sample]) -> list[Measured]:
        highest = (max((self.head(vector) for vector in image_embeddings(sample)), default=None) for sample in samples)
        return [Measured() if score is None else Measured({"watermark": score}) for score in highest]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "watermarked" if scores["watermark"] > self.max_score else ""

    @cached_property
    def head(self) -> Head:
        """Read once a worker; not by `check`, so that it does not travel with the plan."""
        return self._read()

    def _read(self) -> Head:
        return read_head(self.weights, PROBABILITIES, linear_is_probability=True, where="filter watermark")
