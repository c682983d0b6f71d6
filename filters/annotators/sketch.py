"""A pencil sketch by OpenCV, no model: role `sketch`, a gray PNG, dark lines on white.

Source: the "colour dodge" of drawing programs: gray / (1 - blurred inverse), cut at white.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from filters.annotators.canny import one_thread
from filters.annotators.held_answers import HeldAnswers
from filters.annotators.map_making import GrayMap, add_maps, refuse_sizes
from filters.libraries import require
from pipeline.samples import Sample
from pipeline.stage import Model, Needs


@dataclass(frozen=True)
class Sketch:
    """Add a sketch. Dialogues get one, too."""

    adds: ClassVar[tuple[str, ...]] = ("sketch",)
    needs: ClassVar[Needs] = Needs(batch_size=16)

    sigma: float = 8.0  # of the blur, pixels of the map: lines are about as wide, and darker with more
    max_side: int = 1024  # pixels of the longer side of the map
    replace_existing: bool = False  # make a map anew where the sample brings one
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_sizes(self.max_side)
        if not self.sigma > 0:
            raise ValueError(f"sigma is above 0, got {self.sigma:g}")

    @property
    def asks(self) -> None:
        return None

    def check(self) -> None:
        require("sketch", "cv2", extra="maps", step="annotator")

    def setup(self, model: Model | None) -> None:
        one_thread()

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        return add_maps(samples, "sketch", self._held, maker=self, draw=lambda pictures: [GrayMap(self._dodge(each)) for each in pictures])

    def _dodge(self, picture_HW3: np.ndarray) -> np.ndarray:
        """In whole numbers: the same on every machine. Each side has 1 more, so that what is black all around is white as well."""
        import cv2

        gray = cv2.cvtColor(picture_HW3, cv2.COLOR_RGB2GRAY)
        around = 255 - cv2.GaussianBlur(255 - gray, (0, 0), self.sigma).astype(np.int32)
        return np.minimum((gray.astype(np.int32) + 1) * 255 // (around + 1), 255).astype(np.uint8)
