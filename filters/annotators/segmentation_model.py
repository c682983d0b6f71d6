"""A segmentation model of the transformers library, behind one call: pictures in, a class for every pixel out.

Models that know classes only (SegFormer, BEiT, UperNet, DPT, ...) and universal ones (MaskFormer, Mask2Former, OneFormer, EoMT) are read by
their own processor's semantic post-processing. Where a processor is set to pad pictures on the right and at the bottom (`pad_size`), the
library stretches the padded whole to the picture's size, so that classes lie beside their things; here the padding is cut off.

Shapes: H x W pixels of the picture, h x w of what the network sees, B pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from filters.annotators.checkpoint import Checkpoint, commit_of
from filters.annotators.network import Refused, ask, prepared
from pipeline.errors import RecipeError

NOT_OF_PICTURES = ("videomt",)  # universal, but of videos
TILED = ("eomt", "eomt_dinov3")  # their processor cuts a picture into tiles, which are a batch of their own


@dataclass(frozen=True, slots=True)
class SegmentationRequest:
    """What the model is asked at once."""

    pictures: Sequence[np.ndarray]  # uint8 [H, W, 3]
    batch_size: int


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a picture's pixels."""

    ids: np.ndarray  # [H, W] uint8, or uint16 where the model knows ids above 255
    names: Mapping[int, str]  # of those that occur, ascending


@dataclass(frozen=True, slots=True)
class SegmentationAnswer:
    """What it says."""

    classes: Sequence[Classes | Refused]
    commit: str  # of the weights, where it is known


@dataclass(frozen=True)
class SegmentationModelSpec:
    """Weights by name or folder."""

    model: str
    revision: str
    precision: str
    device: str

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint("segmentation", self.model, self.revision, self.precision, self.device)

    def check(self) -> None:
        """
        Raises:
            RecipeError: There is no such model, or it is none that segments pictures.
        """
        from transformers.models.auto import modeling_auto

        universal = set(modeling_auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES) - set(NOT_OF_PICTURES)
        known = universal | set(modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES)
        self.checkpoint.check(known, "does not segment pictures")

    def fingerprint(self) -> str:
        return self.checkpoint.fingerprint()

    def load(self) -> "SegmentationModel":
        """
        Raises:
            RecipeError: The weights cannot be had, some are missing, or the processor reads no classes.
        """
        import transformers
        from transformers.models.auto.modeling_auto import MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES as UNIVERSAL

        kind = self.checkpoint.config().model_type
        is_universal, is_told = kind in UNIVERSAL, kind == "oneformer"
        network, processor = self.checkpoint.load(
            transformers.AutoModelForUniversalSegmentation if is_universal else transformers.AutoModelForSemanticSegmentation,
            transformers.AutoProcessor if is_told else transformers.AutoImageProcessor,
        )
        if not hasattr(processor, "post_process_semantic_segmentation"):
            raise RecipeError(f"annotator segmentation: {type(processor).__name__} of {self.model} reads no classes of pixels")
        if kind in TILED and not processor.do_split_image:
            raise RecipeError(f"annotator segmentation: {self.model} does not cut pictures into tiles: it is no semantic EoMT")
        return SegmentationModel(network, processor, {"task_inputs": ["semantic"]} if is_told else {}, kind in TILED)


@dataclass(frozen=True)
class SegmentationModel:
    """The loaded model."""

    network: Any
    processor: Any
    task: Mapping[str, Any]  # what OneFormer is told beside the picture
    is_tiled: bool

    def __call__(self, request: SegmentationRequest) -> SegmentationAnswer:
        pictures = request.pictures

        def prepare(number: int) -> Mapping[str, Any]:
            return self.processor(images=[Image.fromarray(pictures[number])], return_tensors="pt", **self.task)

        def read(outputs: Any, inputs: Mapping[str, Any], numbers: list[int]) -> list[Classes]:
            sizes = [pictures[number].shape[:2] for number in numbers]
            padded = [padded_size(size, inputs, place) for place, size in enumerate(sizes)]
            found = self.processor.post_process_semantic_segmentation(outputs, target_sizes=padded)
            return [self._named(ids[:height, :width]) for ids, (height, width) in zip(found, sizes, strict=True)]

        batch_size = 1 if self.is_tiled else request.batch_size
        answers = ask(self.network, prepared(prepare, len(pictures)), batch_size, read)
        return SegmentationAnswer(answers, commit_of(self.network))

    def _named(self, ids_HW: Any) -> Classes:
        names: Mapping[int, str] = self.network.config.id2label
        ids = ids_HW.cpu().numpy().astype(np.uint8 if max(names) < 256 else np.uint16)
        return Classes(ids, {int(number): names.get(int(number), str(number)) for number in np.unique(ids)})


def padded_size(size: tuple[int, int], inputs: Mapping[str, Any], place: int) -> tuple[int, int]:
    """The height and width that a picture would have with its padding; its own where there is none.

    Args:
        size: Height and width of the picture, pixels.
        inputs: Of its batch; `pixel_mask` [B, h, w] is 1 where the picture is.
        place: Of the picture in the batch.
    """
    if "pixel_mask" not in inputs:
        return size
    mask = inputs["pixel_mask"][place].bool()
    height, width = int(mask.any(1).sum()), int(mask.any(0).sum())
    return round(size[0] * mask.shape[0] / height), round(size[1] * mask.shape[1] / width)
