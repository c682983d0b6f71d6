"""A filter, or an annotator, as a step of the pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass

from filters import Filter
from filters.annotators import Annotator
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Drop, Sample
from pipeline.stage import Measured, Model, ModelSpec, Needs


@dataclass(frozen=True)
class FilterRule:
    """A filter under its kind, with what it leaves out of the contract filled in."""

    name: str
    filter: Filter

    @property
    def needs(self) -> Needs:
        return self.filter.needs

    @property
    def model(self) -> ModelSpec | None:
        return None

    @property
    def scores(self) -> tuple[str, ...]:
        return self.filter.scores

    @property
    def is_guard(self) -> bool:
        return getattr(self.filter, "is_guard", False)

    @property
    def compares(self) -> bool:
        return getattr(self.filter, "compares", False)

    def setup(self, model: Model | None) -> None:
        if hasattr(self.filter, "setup"):
            self.filter.setup()

    def measure(self, batch: list[Sample]) -> list[Measured]:
        """
        Raises:
            ValueError: The filter fills a score that it does not announce, or forgets a sample.
        """
        found = self.filter.measure(batch)
        if len(found) != len(batch):
            raise ValueError(f"{self.name} says {len(found)} things of {len(batch)} samples")
        if unknown := {name for each in found for name in each.scores} - set(self.filter.scores):
            raise ValueError(f"{self.name} fills the score {min(unknown)!r}, but announces only {self.filter.scores}")
        return found

    def judge(self, scores: Mapping[str, float]) -> str:
        return self.filter.judge(scores)

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        rulings: Mapping[int, Ruling] = self.filter.judge_run(view)  # type: ignore[attr-defined]  # only asked of those that compare
        return rulings


@dataclass(frozen=True)
class AnnotatorStage:
    """Pass every sample on with what the annotator adds."""

    name: str
    annotator: Annotator

    @property
    def needs(self) -> Needs:
        return self.annotator.needs

    @property
    def model(self) -> ModelSpec | None:
        return self.annotator.asks

    def setup(self, model: Model | None) -> None:
        self.annotator.setup(model)

    def __call__(self, batch: list[Sample]) -> list[Sample | Drop]:
        """
        Raises:
            ValueError: The annotator loses a sample, or changes a key.
        """
        annotated = self.annotator.annotate(batch)
        if [sample.key for sample in annotated] != [sample.key for sample in batch]:
            raise ValueError(f"{self.name} returns other samples than it was given")
        return list(annotated)
