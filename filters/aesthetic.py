"""Drop pictures that people would find plain, by a head on CLIP's picture vector.

Source: LAION's improved aesthetic predictor, `sac+logos+ava1-l14-linearMSE` (v2), and aesthetic predictor v1; both take the L2-normalised
vector of one CLIP model (v2: OpenAI's L/14) and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from filters.heads import HeadFile
from filters.quantile import all_but_the_good
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class Aesthetic:
    """Keep a sample whose plainest picture is still pleasing. Off without weights."""

    scores: ClassVar[tuple[str, ...]] = ("aesthetic",)
    needs: ClassVar[Needs] = Needs()
    needs_clip: ClassVar[bool] = True
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"min_score": (1.0, 10.0), "top_fraction": (0.0, 1.0)}
    thresholds: ClassVar[Mapping[str, str]] = {"min_score": "aesthetic"}
    measured_by: ClassVar[tuple[str, ...]] = ("weights",)

    weights: str = ""  # .pth or .safetensors of v2 or v1; see heads.py for what is recognised
    min_score: float = 5.0  # on a scale from 1 to 10
    top_fraction: float = 1.0  # of the samples that reach this filter, the best; below 1 the run is decided as a whole

    @property
    def compares(self) -> bool:
        return self.top_fraction < 1

    @cached_property
    def head_file(self) -> HeadFile:
        return HeadFile(self.weights, ("layers_0_2_4_6_7", "linear"), linear_is_probability=False, where="filter aesthetic")

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return self.head_file.measure(samples, "aesthetic", min)

    def judge(self, scores: Mapping[str, float]) -> str:
        return "not_aesthetic" if not self.compares and scores["aesthetic"] < self.min_score else ""

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        return all_but_the_good(view, "aesthetic", (self.min_score, self.top_fraction), "not_aesthetic")
