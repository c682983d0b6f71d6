"""A filter, or an annotator, as a step of the pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from filters import FILTERS, Filter, RunFilter
from filters.annotators import Annotator
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Drop, Sample
from pipeline.stage import Measured, Model, ModelSpec, Needs


@dataclass(frozen=True)
class FilterRule:
    """A filter under its name, with what it leaves out of the contract filled in."""

    name: str  # its kind, unless the recipe gives it another, as it must where a kind is listed twice
    filter: Filter
    prefix: str = ""  # of its scores in the ledger, by which those of two filters of a kind are told apart

    @property
    def needs(self) -> Needs:
        return self.filter.needs

    @property
    def model(self) -> ModelSpec | None:
        return None

    @property
    def scores(self) -> tuple[str, ...]:
        return tuple(self.prefix + name for name in self.filter.scores)

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
        if not self.prefix:
            return found
        return [Measured({self.prefix + name: score for name, score in each.scores.items()}, each.signature) for each in found]

    def judge(self, scores: Mapping[str, float]) -> str:
        return self.filter.judge({name.removeprefix(self.prefix): score for name, score in scores.items()} if self.prefix else scores)

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        return cast(RunFilter, self.filter).judge_run(view)  # only asked of those that compare


def named_rule(name: str, item: Filter) -> FilterRule:
    """A filter of the table as a rule. Under another name than its kind, its scores begin with that name."""
    return FilterRule(name, item, prefix="" if name == kind_of(item) else f"{name}_")


def kind_of(item: Filter) -> str:
    """Under which kind a filter stands in FILTERS."""
    return next(kind for kind, cls in FILTERS.items() if type(item) is cls)


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
