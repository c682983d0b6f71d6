"""What became of the last batch. When a sample fails, the runner calls again without it: the others are not asked about twice."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.errors import SampleError
from pipeline.samples import Sample

Outcome = Sample | SampleError  # the sample annotated, or why it cannot be


@dataclass
class HeldAnswers:
    """Outcomes by the samples themselves."""

    outcomes: dict[int, tuple[Sample, Outcome]] = field(default_factory=dict)  # by id() of a sample, which is held with it

    def annotate(
        self, samples: list[Sample], is_asked: Callable[[Sample], bool], ask: Callable[[list[Sample]], list[Outcome]]
    ) -> list[Sample]:
        """The samples in order, those annotated that are asked about.

        Args:
            ask: Called once, for those that are not held.

        Raises:
            SampleError: One cannot be annotated.
        """
        asked = [sample for sample in samples if is_asked(sample)]
        new = [sample for sample in asked if id(sample) not in self.outcomes]
        found = dict(zip(map(id, new), ask(new), strict=True)) if new else {}
        held = {id(sample): self.outcomes[id(sample)] for sample in asked if id(sample) in self.outcomes}
        self.outcomes = held | {id(sample): (sample, found[id(sample)]) for sample in new}
        annotated = []
        for sample in samples:
            outcome = self.outcomes[id(sample)][1] if id(sample) in self.outcomes else sample
            if isinstance(outcome, SampleError):
                raise outcome
            annotated.append(outcome)
        return annotated
