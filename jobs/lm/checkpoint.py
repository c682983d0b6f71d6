"""Checkpoints: whole or not there.

    OUTPUT/train/step-000500/
      config.json, model.safetensors, text_tokenizer.json     a model folder that transformers reads, too
      optimizer.safetensors                                    both moments of AdamW for each parameter
      trainer.json                                             written last: step, options, and which data

A folder is written under a temporary name and renamed when all of it is on the disk, so a name that ends in digits is a whole checkpoint.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from jobs.lm.folder import save_folder
from jobs.lm.model import LanguageModel
from pipeline import paths
from pipeline.errors import ResumeError

TRAIN_FOLDER = "train"
TRAINER = "trainer.json"
OPTIMIZER = "optimizer.safetensors"
TEMPORARY = "writing-step"  # beginning of the name of a checkpoint that is not finished
STEP_NAME = re.compile(r"step-(\d{6,})")
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, and what it must not change on the way."""

    step: int  # optimizer steps done
    identity: Mapping[str, Any]  # by key: options and fingerprints


def find_checkpoints(train_folder: Path) -> list[Path]:
    """Whole checkpoints, the oldest first."""
    if not train_folder.is_dir():
        return []
    named = [(STEP_NAME.fullmatch(path.name), path) for path in train_folder.iterdir() if (path / TRAINER).is_file()]
    return [path for _, path in sorted((int(match[1]), path) for match, path in named if match)]


def load_progress(checkpoint: Path) -> Progress:
    """Raises:
    ResumeError: `trainer.json` is damaged.
    """
    try:
        return Progress(**json.loads((checkpoint / TRAINER).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ResumeError(f"{checkpoint / TRAINER}: damaged ({error}); remove the folder to go on from the checkpoint before it") from error


def refuse_changes(checkpoint: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises:
    ResumeError: The run was begun with other options or data; the message names the first key that differs.
    """
    for key in sorted(stored.keys() | wanted.keys()):
        if stored.get(key) != wanted.get(key):
            raise ResumeError(
                f"{checkpoint}: {key} was {stored.get(key)!r}, now it is {wanted.get(key)!r}; "
                f"choose another output, or remove {checkpoint.parent} to train again"
            )


def save_checkpoint(
    train_folder: Path,
    progress: Progress,
    *,
    model: LanguageModel,
    optimizer: Optimizer,
    vq_weights: Mapping[str, Tensor],
    text_tokenizer: bytes,
    keep: int,
) -> Path:
    """Commit a checkpoint, and remove all but the newest `keep`."""
    final = train_folder / f"step-{progress.step:06d}"
    temporary = train_folder / f"{TEMPORARY}-{progress.step:06d}"
    remove_unfinished(train_folder)
    temporary.mkdir(parents=True)
    try:
        save_folder(temporary, model, vq_weights, text_tokenizer)
        save_file(_moments(model, optimizer), temporary / OPTIMIZER)
        (temporary / TRAINER).write_text(json.dumps({"step": progress.step, "identity": dict(progress.identity)}, indent=1) + "\n")
        for path in (*temporary.iterdir(), temporary):
            paths.sync(str(path))
        if final.exists():  # left without its trainer.json by someone's hand, or it would have been resumed from
            shutil.rmtree(final)
        os.rename(temporary, final)
        paths.sync(str(train_folder))
    except BaseException:  # Ctrl-C and a full disk too
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for old in find_checkpoints(train_folder)[:-keep]:
        os.rename(old, temporary)  # first out of sight: a half removed folder must not look whole
        shutil.rmtree(temporary)
    return final


def remove_unfinished(train_folder: Path) -> None:
    """Remove what a killed process left."""
    for path in train_folder.glob(f"{TEMPORARY}-*"):
        shutil.rmtree(path)


def load_optimizer(checkpoint: Path, model: LanguageModel, optimizer: Optimizer, step: int) -> None:
    """Give an optimizer its moments back.

    Raises:
        ResumeError: The file does not fit the model.
    """
    stored = load_file(checkpoint / OPTIMIZER)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            moments = {moment: stored.get(f"{moment}.{name}") for moment in MOMENTS}
            if any(tensor is None or tensor.shape != parameter.shape for tensor in moments.values()):
                raise ResumeError(f"{checkpoint / OPTIMIZER}: no moments for {name}")
            state: dict[str, Any] = {moment: tensor.to(parameter.device) for moment, tensor in moments.items() if tensor is not None}
            optimizer.state[parameter] = {"step": parameter.new_tensor(float(step)), **state}


def _moments(model: LanguageModel, optimizer: Optimizer) -> dict[str, Tensor]:
    state = {name: optimizer.state[parameter] for name, parameter in model.named_parameters()}
    return {f"{moment}.{name}": values[moment].detach().cpu().contiguous() for name, values in state.items() for moment in MOMENTS}
