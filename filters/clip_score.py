"""Drop pictures that are not what their caption says, by CLIP.

Source: DataComp (arXiv 2304.14108): the best 30 % by OpenAI's L/14 is its best single filter at every scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.caption_scores import cosine
from filters.clip_stage import CLIP_IMAGE, CLIP_TEXT, TRUNCATED
from filters.quantile import all_but_the_good
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class ClipScore:
    """Keep a sample whose main picture and caption lie close together. Dialogues and samples without a caption have nothing to judge."""

    scores: ClassVar[tuple[str, ...]] = ("clip_score", TRUNCATED)
    needs: ClassVar[Needs] = Needs()
    needs_clip: ClassVar[bool] = True
    needs_clip_text: ClassVar[bool] = True
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"min_score": (-1.0, 1.0), "top_fraction": (0.0, 1.0)}
    thresholds: ClassVar[Mapping[str, str]] = {"min_score": "clip_score"}

    min_score: float = 0.20  # cosine
    top_fraction: float = 1.0  # of the samples that reach this filter, the best; below 1 the run is decided as a whole

    @property
    def compares(self) -> bool:
        return self.top_fraction < 1

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(sample) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "low_clip_score" if not self.compares and scores["clip_score"] < self.min_score else ""

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        return all_but_the_good(view, "clip_score", (self.min_score, self.top_fraction), "low_clip_score")

    def _measure(self, sample: Sample) -> Measured:
        if CLIP_IMAGE not in sample.embeddings or CLIP_TEXT not in sample.embeddings:
            return Measured()
        score = cosine(sample.embeddings[CLIP_IMAGE], sample.embeddings[CLIP_TEXT])
        return Measured({"clip_score": score, TRUNCATED: sample.scores[TRUNCATED]})
