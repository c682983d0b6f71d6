"""Weights of an open-vocabulary detector of the transformers library: checked, fingerprinted, loaded."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from filters.annotators.grounding_detector import GroundingDetector
from filters.annotators.list_detector import ListDetector
from pipeline import paths
from pipeline.errors import RecipeError

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
GROUNDING = ("grounding-dino", "mm-grounding-dino")  # they read a text, and say which of its tokens a box shows
LISTS = ("owlvit", "owlv2")  # they take a list of phrases, and say which of them a box shows


@dataclass(frozen=True)
class DetectModelSpec:
    """Weights by name or folder."""

    model: str
    revision: str
    precision: str  # float32, bfloat16 or float16
    device: str  # auto, cpu, cuda, cuda:1

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
        from transformers import AutoConfig
        from transformers.utils.hub import has_file

        revision = self.revision or None
        try:
            config = AutoConfig.from_pretrained(self.model, revision=revision, trust_remote_code=False)
            for names in (WEIGHT_FILES, PROCESSOR_FILES):
                if not any(has_file(self.model, name, revision=revision) for name in names):
                    raise RecipeError(f"annotator detect: {self.model} has none of {', '.join(names)}")
        except (OSError, ValueError) as error:
            raise RecipeError(f"annotator detect: model {self.model!r} cannot be had: {error}") from error
        if config.model_type not in (*GROUNDING, *LISTS):
            raise RecipeError(
                f"annotator detect: {self.model} is a {config.model_type}; wanted is one of {', '.join((*GROUNDING, *LISTS))}"
            )
        return config.model_type in GROUNDING

    def fingerprint(self) -> str:
        """sha256 over all files of a folder; empty for a name on the hub, whose `revision` is an option."""
        if not os.path.isdir(self.model):
            return ""
        files = sorted(entry.name for entry in os.scandir(self.model) if entry.is_file())
        named = "".join(f"{name}\0{paths.sha256(os.path.join(self.model, name))}\n" for name in files)
        return hashlib.sha256(named.encode()).hexdigest()

    def load(self) -> GroundingDetector | ListDetector:
        """
        Raises:
            RecipeError: The weights cannot be had, or some are missing.
        """
        import torch
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device)
        revision = self.revision or None
        try:
            processor = AutoProcessor.from_pretrained(self.model, revision=revision, trust_remote_code=False)
            loaded: Any = AutoModelForZeroShotObjectDetection.from_pretrained(
                self.model, revision=revision, trust_remote_code=False, dtype=getattr(torch, self.precision), output_loading_info=True
            )
        except (OSError, ValueError) as error:
            raise RecipeError(f"annotator detect: model {self.model!r} cannot be had: {error}") from error
        model, found = loaded
        if found["missing_keys"]:
            raise RecipeError(f"annotator detect: {self.model} lacks weights, such as {min(found['missing_keys'])}")
        model = model.eval().to(device)
        if model.config.model_type in GROUNDING:
            return GroundingDetector(model, processor)
        return ListDetector(model, processor, is_padded_square=model.config.model_type == "owlv2")
