"""Annotators: each adds to samples what can be said of them: captions, boxes, maps.

To add one: a file in this folder, and its line in ANNOTATORS.
"""

from typing import ClassVar, Protocol

from pipeline.samples import Sample
from pipeline.stage import Needs


class Annotator(Protocol):
    """A frozen dataclass whose fields are its options in the recipe."""

    needs: ClassVar[Needs]

    def setup(self) -> None:
        """Load weights. Called once, on the worker."""
        ...

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        """The samples in order, each with what was found added. A function of the samples alone.

        Raises:
            SampleError: A sample cannot be annotated.
        """
        ...


ANNOTATORS: dict[str, type[Annotator]] = {}
