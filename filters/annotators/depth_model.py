"""A depth model of the transformers library, behind one call: pictures in, nearness out.

Models speak of depth in two ways: some say how near a point is, up to scale and shift (disparity), others how far, in metres. Here all
say how near: a distance is turned into its inverse, and that before the network's output is enlarged to the picture's size. Beside a far
ground the bicubic enlarging of distances swings below the nearest one, even below zero, and its inverse would outshine all else.

Shapes: H x W pixels of the picture, h x w of the network's output, B pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from filters.annotators.checkpoint import Checkpoint, commit_of
from filters.annotators.network import Refused, ask, prepared
from pipeline.errors import RecipeError

if TYPE_CHECKING:
    import torch

Predicts = Literal["auto", "nearness", "distance"]

DISTANCES = ("zoedepth", "glpn", "depth_pro", "tipsv2_dpt")  # in metres
ENLARGED_AS_NEARNESS = ("depth_pro",)  # its network says nearness, its post-processing makes distances of it at last
BY_CONFIG: Mapping[str, Predicts] = {"relative": "nearness", "metric": "distance"}  # Depth Anything's depth_estimation_type
LEAST_SHARE = 1e-3  # of the farthest distance: nothing counts as nearer, so that one wild pixel does not flatten all others


@dataclass(frozen=True, slots=True)
class DepthRequest:
    """What the model is asked at once."""

    pictures: Sequence[np.ndarray]  # uint8 [H, W, 3]
    batch_size: int


@dataclass(frozen=True, slots=True)
class DepthAnswer:
    """What it says."""

    nearness: Sequence[np.ndarray | Refused]  # float32 [H, W] of each picture, larger is nearer
    commit: str  # of the weights, where it is known


@dataclass(frozen=True)
class DepthModelSpec:
    """Weights by name or folder."""

    model: str
    revision: str
    precision: str
    device: str
    predicts: Predicts

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint("depth", self.model, self.revision, self.precision, self.device)

    def check(self) -> None:
        """
        Raises:
            RecipeError: There is no such model, it estimates no depth, or nothing says which way.
        """
        from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES as KNOWN

        self._tells_distance(self.checkpoint.check(KNOWN, "does not estimate depth"))

    def fingerprint(self) -> str:
        return self.checkpoint.fingerprint()

    def load(self) -> "DepthModel":
        """
        Raises:
            RecipeError: The weights cannot be had, or some are missing.
        """
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        network, processor = self.checkpoint.load(AutoModelForDepthEstimation, AutoImageProcessor)
        return DepthModel(network, processor, self._tells_distance(network.config))

    def _tells_distance(self, config: Any) -> bool:
        predicts = told_by(config) if self.predicts == "auto" else self.predicts
        if predicts == "auto":
            raise RecipeError(
                f'annotator depth: {self.model} is a {config.model_type}; say predicts = "nearness" (disparity) or predicts = "distance"'
            )
        return predicts == "distance"


def told_by(config: Any) -> Predicts:
    """Which of both a model's config says that it predicts; "auto" where it does not say."""
    if hasattr(config, "depth_estimation_type"):
        return BY_CONFIG.get(config.depth_estimation_type, "auto")
    if config.model_type in DISTANCES:
        return "distance"
    return "nearness" if config.model_type == "dpt" else "auto"  # as MiDaS, of which DPT's published weights are


@dataclass(frozen=True)
class DepthModel:
    """The loaded model."""

    network: Any
    processor: Any
    tells_distance: bool

    def __call__(self, request: DepthRequest) -> DepthAnswer:
        pictures = request.pictures

        def prepare(number: int) -> Mapping[str, Any]:
            return self.processor(images=Image.fromarray(pictures[number]), return_tensors="pt")

        def read(outputs: Any, _: Mapping[str, Any], numbers: list[int]) -> list[np.ndarray]:
            sizes = [pictures[number].shape[:2] for number in numbers]
            is_late = self.network.config.model_type in ENLARGED_AS_NEARNESS
            if self.tells_distance and not is_late:
                outputs["predicted_depth"] = inverse(outputs["predicted_depth"])
            # By place: ZoeDepth calls them source_sizes, all others target_sizes.
            found = [each["predicted_depth"] for each in self.processor.post_process_depth_estimation(outputs, sizes)]
            if self.tells_distance and is_late:
                found = [inverse(each[None])[0] for each in found]
            # The library squeezes away sides of one pixel.
            return [each.cpu().numpy().reshape(size) for each, size in zip(found, sizes, strict=True)]

        answers = ask(self.network, prepared(prepare, len(pictures)), request.batch_size, read)
        return DepthAnswer(answers, commit_of(self.network))


def inverse(distances_Bhw: "torch.Tensor") -> "torch.Tensor":
    """1 / distance, of distances that are cut below `LEAST_SHARE` of the picture's farthest; NaN where they are not finite."""
    import torch

    least_B = (distances_Bhw.flatten(1).amax(1) * LEAST_SHARE).clamp(min=1e-12)  # none above zero: all equally far
    near_Bhw = 1 / distances_Bhw.maximum(least_B[:, None, None])
    return torch.where(distances_Bhw.isfinite(), near_Bhw, torch.nan)
