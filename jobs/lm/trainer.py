"""The training loop: batches in, checkpoints and a log out. One process, one device.

The state of a run is its step, the weights and the optimizer's moments: batches, context drop and dropout are functions of (seed, step), so
a resumed run on the same CPU continues bit for bit.
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from jobs.lm.batches import Batch
from jobs.lm.checkpoint import (
    Progress,
    find_checkpoints,
    load_optimizer,
    load_progress,
    refuse_changes,
    remove_unfinished,
    save_checkpoint,
)
from jobs.lm.dropout import ResidualDropout
from jobs.lm.folder import ModelFolder, load_folder, read_names
from jobs.lm.loss import Loss, batch_loss, image_token_ids
from jobs.lm.model import LanguageModel, choose_device, count_parameters, new_config, new_model
from jobs.lm.options import TrainOptions
from jobs.lm.plan_table import describe_draw
from jobs.lm.train_data import TrainData
from jobs.lm.train_log import LOG, append_log, rewind_log
from pipeline.errors import MgptError
from pipeline.paths import read_bytes

FREE = ("steps", "eval_every", "checkpoint_every", "keep", "log_every", "device", "threads")  # may change between runs of one training
SECONDS_BETWEEN_LINES = 10.0


@dataclass
class Trainer:
    """A training under way."""

    data: TrainData
    options: TrainOptions
    seed: int
    folder: Path  # OUTPUT/train
    model: LanguageModel
    vq_weights: dict[str, Tensor]
    optimizer: AdamW
    step: int  # done so far

    def run(self) -> None:
        """Do the steps that are left.

        Raises:
            MgptError: The loss is no number any more.
        """
        options = self.options
        rewind_log(self.folder / LOG, self.step)
        dropout = ResidualDropout(self.model, options.dropout, self.seed)
        maker = self.data.maker()
        clock = _Clock(self.step)
        self.model.train()
        while self.step < options.steps:
            batch = maker.make(self.data.plan.step(self.step))
            dropout.seed_step(self.step)
            loss, norm = self._take_step(batch)
            self.step += 1
            last = self.step == options.steps
            clock.tokens += batch.num_tokens
            if self.step % options.log_every == 0 or last:
                self._log(batch, loss, norm, clock)
            if len(self.data.held_out) and (self.step % options.eval_every == 0 or last):
                append_log(self.folder / LOG, {"step": self.step} | self.held_out_loss())
                clock.restart()
            if self.step % options.checkpoint_every == 0 or last:
                self._check(loss)
                self._save()
                clock.restart()

    def held_out_loss(self) -> dict[str, Any]:
        """The mean cross entropy over all held-out loss tokens, and by task."""
        data, size = self.data, self.options.batch_size
        maker = data.held_out_maker()
        windows = [(0, window) for window in data.held_out_windows]
        sums = _TaskSums()
        self.model.eval()
        with torch.no_grad():
            for start in range(0, len(windows), size):
                batch = maker.make(windows[start : start + size])
                sums.add(batch, self._loss(batch))
        self.model.train()
        return {"held_out_loss": sums.mean(), "held_out_loss_by_task": sums.by_task()}

    def _take_step(self, batch: Batch) -> tuple[Loss, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.grad_clip)
        self.optimizer.step()
        return loss, norm

    def _loss(self, batch: Batch) -> Loss:
        batch = batch.to(self.model.device)
        dtype = getattr(torch, self.options.dtype)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            hidden = self.model(batch.ids_BT, batch.position_ids_BT, batch.mask_B1TT)
        vocab = self.data.vocab
        image_ids = None
        if self.options.restrict_image_logits:
            image_ids = image_token_ids(vocab.codes, vocab.sizes, vocab.end_of_row, vocab.end_of_image).to(self.model.device)
        return batch_loss(hidden.to(dtype), self.model.lm_head.weight, batch, z_loss=self.options.z_loss, image_ids=image_ids)

    def _log(self, batch: Batch, loss: Loss, norm: Tensor, clock: "_Clock") -> None:
        self._check(loss)
        sums = _TaskSums()
        sums.add(batch, loss)
        values = {
            "step": self.step,
            "loss": loss.total.item(),
            "cross_entropy": loss.cross_entropy.item(),
            "z_loss": self.options.z_loss * loss.z.item(),
            "loss_by_task": sums.by_task(),
            "grad_norm": norm.item(),
            "learning_rate": learning_rate(self.options, self.step - 1),
            "tokens": batch.num_tokens,
            "loss_tokens": len(loss.token_losses_N),
            "padding": 1 - batch.num_tokens / batch.ids_BT.numel(),
            "tokens_per_second": clock.rate(),
        }
        append_log(self.folder / LOG, values)
        if clock.speak() or self.step == self.options.steps:
            rate = values["tokens_per_second"]
            print(f"step {self.step} of {self.options.steps}, loss {values['loss']:.4f}, {rate:,.0f} tokens/s", flush=True)
        clock.restart()

    def _check(self, loss: Loss) -> None:
        if not math.isfinite(loss.total.item()):
            rate = self.options.learning_rate
            raise MgptError(f"the loss at step {self.step} is {loss.total.item()}; train.learning_rate {rate} may be too high")

    def _save(self) -> None:
        save_checkpoint(
            self.folder,
            Progress(self.step, identity(self.options, self.data, self.seed)),
            model=self.model,
            optimizer=self.optimizer,
            vq_weights=self.vq_weights,
            text_tokenizer=read_bytes(self.data.shards.text_tokenizer),
            keep=self.options.keep,
        )


def load_trainer(data: TrainData, options: TrainOptions, *, seed: int, folder: Path, max_tokens: int) -> Trainer:
    """Begin a training, or go on from its last checkpoint.

    Args:
        folder: OUTPUT/train.
        max_tokens: The longest sequence that a new model shall ever see.

    Raises:
        RecipeError: The model to start from is none, or has another vocabulary.
        ResumeError: The folder holds a training with other options or other data.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    remove_unfinished(folder)
    names = read_names(data.shards.text_tokenizer)
    checkpoints = find_checkpoints(folder)
    step = 0
    if checkpoints:
        progress = load_progress(checkpoints[-1])
        refuse_changes(checkpoints[-1], progress.identity, identity(options, data, seed))
        step = progress.step
        loaded = load_folder(str(checkpoints[-1]), data.vocab, names)
    elif options.init:
        loaded = load_folder(options.init, data.vocab, names)
    else:
        loaded = ModelFolder(new_model(options, data.vocab, names, max_tokens=max_tokens, seed=seed), {})
    config = loaded.model.config
    config.max_position_embeddings = max(config.max_position_embeddings, data.plan.window)
    model = loaded.model.to(choose_device(options.device))
    optimizer = make_optimizer(model, options)
    if checkpoints:
        load_optimizer(checkpoints[-1], model, optimizer, step)
    return Trainer(data, options, seed, folder, model, dict(loaded.vq_weights), optimizer, step)


def describe(data: TrainData, options: TrainOptions, max_tokens: int) -> str:
    """What a training will be, in words; nothing is allocated."""
    plan = data.plan
    windows = plan.num_windows(0)
    if options.init:
        size = f"from {options.init}"
    else:
        total, ends = count_parameters(new_config(options, data.vocab, read_names(data.shards.text_tokenizer), max_tokens))
        size = f"new, {total:,} parameters, {ends:,} of them in embedding and head"
    held_out = f", {len(data.held_out)} held out" if len(data.held_out) else ""
    return "\n".join(
        [
            f"model       {size}",
            f"sequences   {len(data.trained_on)} with {int(plan.lengths.sum()):,} tokens{held_out}",
            *describe_draw(data),
            f"windows     {windows} of {plan.window} tokens an epoch, {plan.padding(0):.1%} padding",
            f"steps       {options.steps} of {options.batch_size} windows, {options.batch_size * plan.window:,} tokens each",
            f"epochs      {options.steps * options.batch_size / windows:.1f}",
        ]
    )


def make_optimizer(model: LanguageModel, options: TrainOptions) -> AdamW:
    """AdamW; weight decay pulls at matrices only, not at embeddings, head and norms, whose rows would fade where a token is rare."""
    decayed = [parameter for name, parameter in model.named_parameters() if name.endswith("proj.weight")]
    rest = [parameter for name, parameter in model.named_parameters() if not name.endswith("proj.weight")]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return AdamW(groups, lr=options.learning_rate, betas=(options.beta1, options.beta2), fused=True)


def learning_rate(options: TrainOptions, step: int) -> float:
    """Of a step, counted from 0."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    if options.schedule == "constant":
        return options.learning_rate
    done = (step - options.warmup) / max(options.steps - options.warmup, 1)
    share = options.final_fraction + (1 - options.final_fraction) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return options.learning_rate * share


def identity(options: TrainOptions, data: TrainData, seed: int) -> dict[str, Any]:
    """What a training must not change on its way."""
    own = {f"train.{name}": value for name, value in asdict(options).items() if name not in FREE}
    return own | {"seed": seed, "vocabulary": data.vocab.fingerprint, "token shards": data.fingerprint}


class _TaskSums:
    """Cross entropy, summed by task."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, batch: Batch, loss: Loss) -> None:
        sums = torch.bincount(loss.tasks_N, weights=loss.token_losses_N.double(), minlength=len(batch.tasks)).tolist()
        counts = torch.bincount(loss.tasks_N, minlength=len(batch.tasks)).tolist()
        for task, add, count in zip(batch.tasks, sums, counts, strict=True):
            before = self._sums.get(task, (0.0, 0))
            self._sums[task] = (before[0] + add, before[1] + count)

    def mean(self) -> float:
        return sum(total for total, _ in self._sums.values()) / max(sum(count for _, count in self._sums.values()), 1)

    def by_task(self) -> dict[str, float]:
        return {task: total / count for task, (total, count) in sorted(self._sums.items()) if count}


class _Clock:
    """Tokens a second between two lines of the log; evaluation and saving do not count."""

    def __init__(self, step: int) -> None:
        self._spoke = -math.inf
        self.restart()

    def restart(self) -> None:
        self._started, self.tokens = time.monotonic(), 0

    def rate(self) -> float:
        return self.tokens / max(time.monotonic() - self._started, 1e-9)

    def speak(self) -> bool:
        """Whether it is time for a line on the terminal."""
        now = time.monotonic()
        if now - self._spoke < SECONDS_BETWEEN_LINES:
            return False
        self._spoke = now
        return True
