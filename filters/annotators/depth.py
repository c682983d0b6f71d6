"""Depth by a model that runs here: DPT, Depth Anything, ZoeDepth, or another that the transformers library knows.

Stored under the role `depth` as nearness: a gray PNG of 16 bits, 65535 at the nearest point of the picture, 0 at the farthest.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from filters.annotators.depth_model import DepthAnswer, DepthModelSpec, DepthRequest, Predicts
from filters.annotators.held_answers import HeldAnswers
from filters.annotators.map_making import GrayMap, add_maps, made_by, refuse_sizes
from filters.annotators.network import Refused
from pipeline.samples import Sample
from pipeline.stage import Model, Needs

DEEPEST = 65535
ROUNDING = 1e-6  # of the largest value; float32 has 24 bits


@dataclass(frozen=True)
class Depth:
    """Add a map of nearness. Dialogues get one, too."""

    adds: ClassVar[tuple[str, ...]] = ("depth",)
    needs: ClassVar[Needs] = Needs()

    model: str  # a folder with config, weights and processor, or a name on the Hugging Face hub
    revision: str = ""  # of a name: branch, tag or commit; empty takes the newest
    predicts: Predicts = "auto"  # what the model's values are; auto: what its config says, or else the recipe is asked
    max_side: int = 1024  # pixels of the longer side of what the model is shown, and so of the map
    batch_size: int = 8  # pictures at once
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # maps have 16 bits; bfloat16 has 8
    device: str = "auto"  # auto: the first GPU, or the CPU
    replace_existing: bool = False  # make a map anew where the sample brings one
    _model: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_sizes(self.max_side, self.batch_size)

    @property
    def asks(self) -> DepthModelSpec:
        return DepthModelSpec(self.model, self.revision, self.precision, self.device, self.predicts)

    def setup(self, model: Model | None) -> None:
        assert model is not None
        self._model[:] = [model]

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        return add_maps(samples, "depth", self._held, maker=self, draw=self._draw)

    def _draw(self, pictures: list[np.ndarray]) -> list[GrayMap | Refused]:
        [model] = self._model
        answer: DepthAnswer = model(DepthRequest(pictures, self.batch_size))
        metadata = {"depth_stored": "nearness", "depth_model": made_by(self.model, answer.commit)}
        return [_stored(each, metadata) for each in answer.nearness]


def _stored(nearness: np.ndarray | Refused, metadata: dict[str, str]) -> GrayMap | Refused:
    if isinstance(nearness, Refused):
        return nearness
    if not np.isfinite(nearness).all():
        return Refused("the model's depth is not finite; another precision may help")
    return GrayMap(spread(nearness), metadata)


def spread(values_HW: np.ndarray) -> np.ndarray:
    """Values from their least to their largest as 0 to 65535, uint16; all 0 where they differ by no more than sums are rounded."""
    values = values_HW.astype(np.float64)
    low, high = values.min(), values.max()
    is_flat = high - low <= ROUNDING * max(abs(low), abs(high))
    return np.rint((values - low) * (0.0 if is_flat else DEEPEST / (high - low))).astype(np.uint16)
