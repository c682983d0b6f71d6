"""Checkpoints: whole or not there.

    OUTPUT/train/step-000500/
      config.json, model.safetensors, text_tokenizer.json     a model folder that transformers reads, too
      optimizer.safetensors                                    both moments of AdamW for each parameter that is trained
      head_rows.safetensors, adapter/                          in these modes: what is trained, see jobs/lm/modes.py
      trainer.json                                             written last: step, options, and which data

A folder is written under a temporary name and renamed when all of it is on the disk, so a name that ends in digits is a whole checkpoint.
However many ranks trained, the files are the same, and any number of ranks goes on from them. What is saved is first copied into memory;
the disk is written to in a thread while the training goes on.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer
from transformers import ChameleonConfig

from jobs.lm.folder import write_folder
from jobs.lm.model import LanguageModel
from jobs.lm.modes import Extra, extra_of, plain_weights
from jobs.lm.options import TrainOptions
from jobs.lm.parallel import own_rows, whole
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training at one step, copied to the CPU."""

    progress: Progress
    config: ChameleonConfig
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    extra: Extra


def take_snapshot(progress: Progress, model: LanguageModel, optimizer: Optimizer, options: TrainOptions, *, first: bool) -> Snapshot:
    """Copy a training. All ranks must call this together; only the first one gets something."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    weights = _gather(plain_weights(model), first)
    moments = _gather(((f"{moment}.{name}", optimizer.state[p][moment]) for name, p in parameters.items() for moment in MOMENTS), first)
    extra = extra_of(model, options)
    copied = {file: _gather(tensors.items(), first) for file, tensors in extra.tensors.items()}
    return Snapshot(progress, model.config, weights, moments, Extra(copied, extra.texts))


def _gather(tensors: Iterable[tuple[str, Tensor]], first: bool) -> dict[str, Tensor]:
    """One tensor after the other, so that no GPU ever holds two of them whole."""
    gathered = {}
    for name, tensor in tensors:
        full = whole(tensor.detach())
        if first:
            gathered[name] = full.to("cpu", copy=True).contiguous()
    return gathered


class CheckpointWriter:
    """Writes one checkpoint at a time, in a thread or at once; an error surfaces with the next call.

    Args:
        in_background: Whether `write` returns before the files are there.
    """

    def __init__(self, in_background: bool):
        self._in_background = in_background
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._running: Future[Path] | None = None

    def write(self, job: Callable[[], Path]) -> None:
        """Begin the next checkpoint when the one before is whole."""
        self.wait()
        self._running = self._executor.submit(job)
        if not self._in_background:
            self.wait()

    def wait(self) -> None:
        """Until nothing is being written."""
        if self._running is not None:
            running, self._running = self._running, None
            running.result()


def save_checkpoint(train_folder: Path, snapshot: Snapshot, *, vq_weights: Mapping[str, Tensor], text_tokenizer: bytes, keep: int) -> Path:
    """Commit a checkpoint, and remove all but the newest `keep`."""
    progress = snapshot.progress
    final = train_folder / f"step-{progress.step:06d}"
    temporary = train_folder / f"{TEMPORARY}-{progress.step:06d}"
    remove_unfinished(train_folder)
    temporary.mkdir(parents=True)
    try:
        write_folder(temporary, snapshot.config, dict(snapshot.weights) | dict(vq_weights), text_tokenizer)
        save_file(dict(snapshot.moments), temporary / OPTIMIZER)
        for file in (*snapshot.extra.tensors, *snapshot.extra.texts):
            (temporary / file).parent.mkdir(exist_ok=True)
        for file, tensors in snapshot.extra.tensors.items():
            save_file(dict(tensors), temporary / file, metadata={"format": "pt"})
        for file, words in snapshot.extra.texts.items():
            (temporary / file).write_text(words)
        (temporary / TRAINER).write_text(json.dumps({"step": progress.step, "identity": dict(progress.identity)}, indent=1) + "\n")
        for path in (*temporary.rglob("*"), temporary):
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
    """Give an optimizer its moments back; a sharded model's rank reads its own rows.

    Raises:
        ResumeError: The file does not fit the model.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    with safe_open(checkpoint / OPTIMIZER, "pt") as stored:
        there = set(stored.keys())
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = names[id(parameter)]
                device = own_rows(parameter)[1].device
                state: dict[str, Tensor] = {"step": torch.tensor(float(step), dtype=torch.float32, device=device)}
                for moment in MOMENTS:
                    key = f"{moment}.{name}"
                    if key not in there or tuple(stored.get_slice(key).get_shape()) != tuple(parameter.shape):
                        raise ResumeError(f"{checkpoint / OPTIMIZER}: no moments for {name}")
                    state[moment] = torch.zeros_like(parameter, requires_grad=False)
                    rows, local = own_rows(state[moment])
                    if len(local):
                        local.copy_(stored.get_slice(key)[rows])
                optimizer.state[parameter] = state
