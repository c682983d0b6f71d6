"""A checkpoint of the transformers library, by name or as a folder: checked, fingerprinted and loaded one way for all annotators."""

import hashlib
import os
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from pipeline import paths
from pipeline.errors import RecipeError

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
# Published checkpoints lack these, and answers do not depend on them: DPT's first fusion layer has no second input to refine
# (transformers issue 28292), batch norm counts batches in training only, and a criterion is a loss.
NEVER_USED = re.compile(r"neck\.fusion_stage\.layers\.0\.residual_layer1\.|\.num_batches_tracked$|(^|\.)criterion\.empty_weight$")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Config, weights and processor."""

    annotator: str  # whose it is, for messages
    model: str  # a folder, or a name on the hub
    revision: str  # of a name: branch, tag or commit; empty takes the newest
    precision: str  # auto (bfloat16 on a GPU, float32 without one), float32, bfloat16 or float16
    device: str  # auto (the first GPU, or the CPU), cpu, cuda, cuda:1

    def check(self, known: Container[str], failing: str) -> Any:
        """
        Args:
            known: The types of model that will do.
            failing: What one of another type does not do: "does not estimate depth".

        Returns:
            The model's config.

        Raises:
            RecipeError: There is no such model, a part of it is missing, or it is of another type.
        """
        from transformers.utils.hub import has_file

        config = self.config()
        try:
            for names in (WEIGHT_FILES, PROCESSOR_FILES):
                if not any(has_file(self.model, name, revision=self.revision or None) for name in names):
                    raise RecipeError(f"annotator {self.annotator}: {self.model} has none of {', '.join(names)}")
        except (OSError, ValueError) as error:
            raise self._cannot_be_had(error) from error
        if config.model_type not in known:
            raise RecipeError(f"annotator {self.annotator}: {self.model} is a {config.model_type}, which {failing}")
        return config

    def config(self) -> Any:
        """
        Raises:
            RecipeError: There is none, or none that the library knows.
        """
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(self.model, revision=self.revision or None, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise self._cannot_be_had(error) from error

    def fingerprint(self) -> str:
        """sha256 over all files of a folder; empty for a name on the hub, whose commit is kept with what the model says."""
        if not os.path.isdir(self.model):
            return ""
        files = sorted(entry.name for entry in os.scandir(self.model) if entry.is_file())
        named = "".join(f"{name}\0{paths.sha256(os.path.join(self.model, name))}\n" for name in files)
        return hashlib.sha256(named.encode()).hexdigest()

    def load(self, model_class: Any, processor_class: Any) -> tuple[Any, Any]:
        """The network, ready to be asked, and its processor.

        Args:
            model_class: Of transformers, as is `processor_class`: what has `from_pretrained`.

        Raises:
            RecipeError: The weights cannot be had, or some are missing.
        """
        import torch

        has_gpu = torch.cuda.is_available()
        device = torch.device(("cuda" if has_gpu else "cpu") if self.device == "auto" else self.device)
        precision = ("bfloat16" if device.type == "cuda" else "float32") if self.precision == "auto" else self.precision
        revision = self.revision or None
        try:
            processor = processor_class.from_pretrained(self.model, revision=revision, trust_remote_code=False)
            model, found = model_class.from_pretrained(
                self.model, revision=revision, trust_remote_code=False, dtype=getattr(torch, precision), output_loading_info=True
            )
        except (OSError, ValueError) as error:
            raise self._cannot_be_had(error) from error
        if missing := [name for name in found["missing_keys"] if not NEVER_USED.search(name)]:
            raise RecipeError(f"annotator {self.annotator}: {self.model} lacks weights, such as {min(missing)}")
        return model.eval().to(device), processor

    def _cannot_be_had(self, error: Exception) -> RecipeError:
        return RecipeError(f"annotator {self.annotator}: model {self.model!r} cannot be had: {error}")


def commit_of(model: Any) -> str:
    """The commit of a model that came from the hub; empty for one of a folder."""
    return getattr(model.config, "_commit_hash", None) or ""
