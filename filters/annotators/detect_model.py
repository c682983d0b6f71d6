"""Weights of an open-vocabulary detector of the transformers library: checked, fingerprinted, loaded."""

from dataclasses import dataclass

from filters.annotators.checkpoint import Checkpoint
from filters.annotators.grounding_detector import GroundingDetector
from filters.annotators.list_detector import ListDetector

GROUNDING = ("grounding-dino", "mm-grounding-dino")  # they read a text, and say which of its tokens a box shows
LISTS = ("owlvit", "owlv2")  # they take a list of phrases, and say which of them a box shows


@dataclass(frozen=True)
class DetectModelSpec:
    """Weights by name or folder."""

    model: str
    revision: str
    precision: str  # float32, bfloat16 or float16
    device: str  # auto, cpu, cuda, cuda:1

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint("detect", self.model, self.revision, self.precision, self.device)

    def check(self) -> None:
        """
        Raises:
            RecipeError: There is no such model, or it is none of the detectors that are known here.
        """
        self.reads_captions()

    def reads_captions(self) -> bool:
        """Whether the model grounds a whole caption; false for those that take a list of phrases.

        Raises:
            RecipeError: As `check` says.
        """
        known = (*GROUNDING, *LISTS)
        config = self.checkpoint.check(known, f"does not find phrases; wanted is one of {', '.join(known)}")
        return config.model_type in GROUNDING

    def fingerprint(self) -> str:
        return self.checkpoint.fingerprint()

    def load(self) -> GroundingDetector | ListDetector:
        """
        Raises:
            RecipeError: The weights cannot be had, or some are missing.
        """
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        model, processor = self.checkpoint.load(AutoModelForZeroShotObjectDetection, AutoProcessor)
        if model.config.model_type in GROUNDING:
            return GroundingDetector(model, processor)
        return ListDetector(model, processor, is_padded_square=model.config.model_type == "owlv2")
