"""A filter, or an annotator, as a stage of the pipeline."""

from dataclasses import dataclass, replace

from filters import Filter
from filters.annotators import Annotator
from pipeline.samples import Drop, Sample, Verdict
from pipeline.stage import Needs


@dataclass(frozen=True)
class FilterStage:
    """Keep what the filter keeps; its scores are written into the sample, or into the drop."""

    name: str
    filter: Filter

    @property
    def needs(self) -> Needs:
        return self.filter.needs

    def setup(self) -> None:
        self.filter.setup()

    def __call__(self, batch: list[Sample]) -> list[Sample | Drop]:
        """
        Raises:
            ValueError: The filter fills a score that it does not announce.
        """
        return [self._apply(sample, verdict) for sample, verdict in zip(batch, self.filter.judge(batch), strict=True)]

    def _apply(self, sample: Sample, verdict: Verdict) -> Sample | Drop:
        if unknown := verdict.scores.keys() - set(self.filter.scores):
            raise ValueError(f"{self.name} fills the score {min(unknown)!r}, but announces only {self.filter.scores}")
        if not verdict.keep:
            return Drop(sample.key, verdict.reason, verdict.scores)
        return replace(sample, scores={**sample.scores, **verdict.scores}) if verdict.scores else sample


@dataclass(frozen=True)
class AnnotatorStage:
    """Pass every sample on with what the annotator adds."""

    name: str
    annotator: Annotator

    @property
    def needs(self) -> Needs:
        return self.annotator.needs

    def setup(self) -> None:
        self.annotator.setup()

    def __call__(self, batch: list[Sample]) -> list[Sample | Drop]:
        """
        Raises:
            ValueError: The annotator loses a sample, or changes a key.
        """
        annotated = self.annotator.annotate(batch)
        if [sample.key for sample in annotated] != [sample.key for sample in batch]:
            raise ValueError(f"{self.name} returns other samples than it was given")
        return list(annotated)
