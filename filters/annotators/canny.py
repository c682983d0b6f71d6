"""Canny edges by OpenCV, no model: role `canny`, a gray PNG, 255 on an edge and 0 elsewhere."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from filters.annotators.held_answers import HeldAnswers
from filters.annotators.map_making import GrayMap, add_maps, refuse_sizes
from filters.libraries import require
from pipeline.samples import Sample
from pipeline.stage import Model, Needs


@dataclass(frozen=True)
class Canny:
    """Add a map of edges, one pixel wide. Dialogues get one, too."""

    adds: ClassVar[tuple[str, ...]] = ("canny",)
    needs: ClassVar[Needs] = Needs(batch_size=16)

    low_threshold: float = 100.0  # of the gradient (Sobel, of gray from 0 to 255): an edge goes on as long as it is above
    high_threshold: float = 200.0  # an edge begins where it is above
    max_side: int = 1024  # pixels of the longer side of the map
    replace_existing: bool = False  # make a map anew where the sample brings one
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_sizes(self.max_side)
        if not 0 <= self.low_threshold <= self.high_threshold:
            raise ValueError(f"0 <= low_threshold <= high_threshold is wanted, got {self.low_threshold:g} and {self.high_threshold:g}")

    @property
    def asks(self) -> None:
        return None

    def check(self) -> None:
        require("canny", "cv2", extra="maps", step="annotator")

    def setup(self, model: Model | None) -> None:
        one_thread()

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        return add_maps(samples, "canny", self._held, maker=self, draw=lambda pictures: [GrayMap(self._edges(each)) for each in pictures])

    def _edges(self, picture_HW3: np.ndarray) -> np.ndarray:
        import cv2

        return cv2.Canny(cv2.cvtColor(picture_HW3, cv2.COLOR_RGB2GRAY), self.low_threshold, self.high_threshold)


def one_thread() -> None:
    """OpenCV's, so that workers do not get into each other's way."""
    import cv2

    cv2.setNumThreads(1)
