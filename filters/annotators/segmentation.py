"""Semantic segmentation by a model that runs here: SegFormer, Mask2Former, OneFormer, or another that the transformers library knows.

Stored under the role `segmentation`: a gray PNG of class ids as the model's config numbers them, 8 bits, or 16 where it knows ids above
255. The classes that occur stand in the sample's metadata: segmentation_classes = {"2": "sky", "12": "person"}.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from filters.annotators.held_answers import HeldAnswers
from filters.annotators.map_making import GrayMap, add_maps, made_by, refuse_sizes
from filters.annotators.network import Refused
from filters.annotators.segmentation_model import Classes, SegmentationAnswer, SegmentationModelSpec, SegmentationRequest
from pipeline.samples import Sample
from pipeline.stage import Model, Needs


@dataclass(frozen=True)
class Segmentation:
    """Add a map of classes. Dialogues get one, too."""

    adds: ClassVar[tuple[str, ...]] = ("segmentation",)
    needs: ClassVar[Needs] = Needs()

    model: str  # a folder with config, weights and processor, or a name on the Hugging Face hub
    revision: str = ""  # of a name: branch, tag or commit; empty takes the newest
    max_side: int = 1024  # pixels of the longer side of what the model is shown, and so of the map
    batch_size: int = 8  # pictures at once
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"  # auto: the first GPU, or the CPU
    replace_existing: bool = False  # make a map anew where the sample brings one
    _model: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_sizes(self.max_side, self.batch_size)

    @property
    def asks(self) -> SegmentationModelSpec:
        return SegmentationModelSpec(self.model, self.revision, self.precision, self.device)

    def setup(self, model: Model | None) -> None:
        assert model is not None
        self._model[:] = [model]

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        return add_maps(samples, "segmentation", self._held, maker=self, draw=self._draw)

    def _draw(self, pictures: list[np.ndarray]) -> list[GrayMap | Refused]:
        [model] = self._model
        answer: SegmentationAnswer = model(SegmentationRequest(pictures, self.batch_size))
        by = made_by(self.model, answer.commit)
        return [each if isinstance(each, Refused) else _stored(each, by) for each in answer.classes]


def _stored(classes: Classes, by: str) -> GrayMap:
    names = {str(number): name for number, name in classes.names.items()}
    return GrayMap(classes.ids, {"segmentation_classes": names, "segmentation_model": by})
