"""What a step of the pipeline is."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.samples import Drop, Sample


@dataclass(frozen=True, slots=True)
class Needs:
    """What a stage asks of its runner."""

    batch_size: int = 64  # samples a call


class Stage(Protocol):
    """One step: a list of samples in, a list of the same length out.

    Built on the driver from the recipe, so it must be cheap to build and to pickle. `setup` runs once on the worker and is the only
    place that loads weights. After that a call is a function of its batch: the runner may repeat it.
    """

    name: str
    needs: Needs

    def setup(self) -> None: ...

    def __call__(self, batch: list[Sample]) -> list[Sample | Drop]:
        """One result per sample, in order. A sample is left out by a `Drop` in its place: nothing vanishes.

        Raises:
            SampleError: One sample cannot be used. The runner writes it down and calls again without it.
        """
        ...
