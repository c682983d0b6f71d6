"""What a step of the pipeline is. A rule measures samples and judges what it measured; a stage adds to them.

Both are built on the driver from the recipe, so they must be cheap to build and to pickle, and both are functions of their batch: the
runner may repeat a call. Weights live in a model, which the runner loads where it wants them, on a GPU if it has one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pipeline.run_view import Ruling, RunView
from pipeline.samples import Drop, Sample


@dataclass(frozen=True, slots=True)
class Needs:
    """What a step asks of its runner."""

    batch_size: int = 64  # samples a call


class Model(Protocol):
    """Weights in memory. An answer does not depend on what else is asked."""

    def __call__(self, request: Any) -> Any: ...


class ModelSpec(Protocol):
    """A model that can be loaded where it is needed. Frozen and hashable: steps with equal specs share one model."""

    def check(self) -> None:
        """Called on the driver before any work.

        Raises:
            RecipeError: The weights cannot be had.
        """
        ...

    def fingerprint(self) -> str:
        """What answers depend on beside the spec's own fields, such as the content of a folder of weights; "" where it is not known."""
        ...

    def load(self) -> Model: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule found of one sample."""

    scores: Mapping[str, float] = field(default_factory=dict)  # by score name; empty: there is nothing to judge
    signature: bytes | None = None  # of rules that compare samples


class _Step(Protocol):
    """What rules and stages have in common."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> Needs: ...

    @property
    def model(self) -> ModelSpec | None:
        """The weights that it asks."""
        ...

    def setup(self, model: Model | None) -> None:
        """Load tables and take the model. Called once, on the worker."""
        ...


@runtime_checkable
class Rule(_Step, Protocol):
    """A filter, as the frame sees it: measuring is apart from judging, so that thresholds can be moved without measuring again."""

    @property
    def scores(self) -> tuple[str, ...]: ...

    @property
    def is_guard(self) -> bool:
        """What it rejects is not measured any further."""
        ...

    @property
    def compares(self) -> bool:
        """It wants to see the whole run before it decides."""
        ...

    def measure(self, batch: list[Sample]) -> list[Measured]:
        """One result per sample, in order.

        Raises:
            SampleError: One sample cannot be measured. The runner writes it down and calls again without it.
        """
        ...

    def judge(self, scores: Mapping[str, float]) -> str:
        """Why a sample with these scores is left out, in snake_case; "" keeps it."""
        ...

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        """Of rules that compare: the rows that are left out, in view of all others."""
        ...


class Stage(_Step, Protocol):
    """A list of samples in, a list of the same length out."""

    def __call__(self, batch: list[Sample]) -> list[Sample | Drop]:
        """One result per sample, in order. A sample is left out by a `Drop` in its place: nothing vanishes.

        Raises:
            SampleError: One sample cannot be used. The runner writes it down and calls again without it.
        """
        ...


Step = Rule | Stage


def stops_at(rule: Rule, score_rejected: bool) -> bool:
    """Whether what this rule leaves out is not measured by the rules behind it."""
    return (rule.is_guard or not score_rejected) and not rule.compares


def models_of(steps: Iterable[Step]) -> tuple[ModelSpec, ...]:
    """What steps ask, each once."""
    return tuple(dict.fromkeys(step.model for step in steps if step.model is not None))


def set_up(steps: Sequence[Step], models: Sequence[Model]) -> None:
    """Give each step its model, and let it load its tables.

    Args:
        models: One for each of `models_of(steps)`.
    """
    by_spec: dict[ModelSpec | None, Model] = dict(zip(models_of(steps), models, strict=True))
    for step in steps:
        step.setup(by_spec.get(step.model))
