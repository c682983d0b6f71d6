"""A depth model of the transformers library, behind one call: pictures in, nearness out.

Models speak of depth in two ways: some say how near a point is, up to scale and shift (disparity), others how far, in metres. Here all
say how near: a distance is turned into its inverse.

Shapes: H x W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from filters.annotators.checkpoint import Checkpoint, commit_of
from filters.annotators.network import Refused, ask, prepared
from pipeline.errors import RecipeError

Predicts = Literal["auto", "nearness", "distance"]

DISTANCES = ("zoedepth", "glpn", "depth_pro", "tipsv2_dpt")  # after their post-processing, in metres
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
            # By place: ZoeDepth calls them source_sizes, all others target_sizes.
            found = self.processor.post_process_depth_estimation(outputs, sizes)
            # The library squeezes away sides of one pixel.
            return [self._nearness(each["predicted_depth"].cpu().numpy().reshape(size)) for each, size in zip(found, sizes, strict=True)]

        answers = ask(self.network, prepared(prepare, len(pictures)), request.batch_size, read)
        return DepthAnswer(answers, commit_of(self.network))

    def _nearness(self, predicted_HW: np.ndarray) -> np.ndarray:
        return inverse(predicted_HW) if self.tells_distance else predicted_HW


def inverse(distances_HW: np.ndarray) -> np.ndarray:
    """1 / distance, float32; as they are where some are not finite."""
    if not np.isfinite(distances_HW).all():
        return distances_HW
    least = np.float32(distances_HW.max() * LEAST_SHARE)
    return np.float32(1) / np.maximum(distances_HW, least) if least > 0 else np.zeros_like(distances_HW)
