"""The training loop: batches in, checkpoints and a log out; on one process or many.

The state of a run is its step, the weights and the optimizer's moments: batches, context drop and dropout are functions of (seed, step), so
a resumed run on the same CPU continues bit for bit, and one on another number of processes with the same batches.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from jobs.lm.attention import attention_mask, use_attention
from jobs.lm.batches import Batch
from jobs.lm.board import Board, check_board
from jobs.lm.checkpoint import (
    CheckpointWriter,
    Progress,
    find_checkpoints,
    load_optimizer,
    load_progress,
    refuse_changes,
    remove_unfinished,
    save_checkpoint,
    take_snapshot,
)
from jobs.lm.dropout import ResidualDropout
from jobs.lm.flops import peak_flops, work_of
from jobs.lm.grid import Grid, draw_grid
from jobs.lm.head_rows import learned_rows
from jobs.lm.identity import START, identity
from jobs.lm.layers import compile_layers, recompute_activations
from jobs.lm.lora import lora_dropouts
from jobs.lm.loss import Loss, batch_loss, image_token_ids
from jobs.lm.meters import Clock, Tally, Totals, keys_digest
from jobs.lm.model import LanguageModel
from jobs.lm.modes import average_gradients, check_mode, finish_step, load_trained, set_mode
from jobs.lm.optimizer import learning_rate, make_optimizer
from jobs.lm.options import TrainOptions
from jobs.lm.parallel import ALONE, Ranks, release, whole
from jobs.lm.plan import Window
from jobs.lm.start import find_start, fingerprint_weights, load_start
from jobs.lm.train_data import TrainData
from jobs.lm.train_log import LOG, append_log, rewind_log
from pipeline.errors import MgptError, RecipeError
from pipeline.paths import read_bytes

EMPTY: Sequence[tuple[int, Window]] = ((0, ()),)  # one window of padding


@dataclass
class Trainer:
    """A training under way."""

    data: TrainData
    options: TrainOptions
    seed: int
    identity: Mapping[str, Any]  # what must not change on the way
    folder: Path  # OUTPUT/train
    model: LanguageModel
    vq_weights: dict[str, Tensor]
    optimizer: AdamW
    step: int  # done so far
    ranks: Ranks
    attention: str  # how sequences are kept apart, as in `attention_mask`
    tasks: tuple[str, ...]  # of all sequences
    grid: Grid | None = None  # drawn every `grid_every` steps
    board: Board | None = None  # on the first rank, where there is one

    def run(self) -> None:
        """Do the steps that are left.

        Raises:
            MgptError: The loss is no number any more.
        """
        if self.ranks.first:
            rewind_log(self.folder / LOG, self.step)
            self.board = Board(self.folder, self.step) if self.options.tensorboard else None
        writer = CheckpointWriter(self.options.async_checkpoint)
        try:
            self._loop(writer)
        finally:
            if self.board is not None:
                self.board.close()
            writer.wait()
        self.ranks.wait()

    def held_out_loss(self) -> dict[str, Any]:
        """The mean cross entropy over all held-out loss tokens, and by task."""
        data, size = self.data, self.options.batch_size
        windows = [(0, window) for window in data.held_out_windows]
        tally = Tally(self.tasks)
        self.model.eval()
        with torch.no_grad():
            for start in range(0, len(windows), size):
                for rows in self._parts(windows[start : start + size]):
                    batch = data.held_out_maker().make(rows)
                    tally.add(batch, self._loss(batch, 1.0))
        release(self.model)
        self.model.train()
        totals = tally.summed(self.ranks)
        return {"held_out_loss": totals.mean(), "held_out_loss_by_task": totals.by_task()}

    def _loop(self, writer: CheckpointWriter) -> None:
        options = self.options
        dropout = ResidualDropout(self.model, options.dropout, self.seed)
        dropout.cover(lora_dropouts(self.model), options.lora_dropout)
        maker = replace(self.data.maker(), task_weights=options.task_weights)
        clock = self._clock()
        self.model.train()
        while self.step < options.steps:
            started = time.monotonic()
            parts = self._parts(self.data.plan.step(self.step))
            batches = [maker.make(rows) for rows in parts]
            clock.count(batches, time.monotonic() - started)
            losses, norm = self._take_step(batches, dropout)
            self.step += 1
            last = self.step == options.steps
            logs, saves = (self.step % every == 0 or last for every in (options.log_every, options.checkpoint_every))
            if logs or saves:
                totals = self._totals(batches, losses)
            if logs:
                self._log(totals, norm, batches, clock)
            if len(self.data.held_out) and (self.step % options.eval_every == 0 or last):
                self._append({"step": self.step} | self.held_out_loss())
                clock.restart()
            if self.grid is not None and (self.step % options.grid_every == 0 or last):
                self._draw(self.grid)
                clock.restart()
            if saves:
                self._save(writer)
                clock.restart()

    def _clock(self) -> Clock:
        options, device = self.options, self.model.device
        rows = self.model.config.vocab_size if self._image_ids is None else len(self._image_ids)  # at least: text has the whole head
        return Clock(work_of(self.model, rows), peak_flops(options.peak_tflops, options.dtype, device))

    @cached_property
    def _image_ids(self) -> Tensor | None:
        vocab = self.data.vocab
        if not self.options.restrict_image_logits:
            return None
        return image_token_ids(vocab.codes, vocab.sizes, vocab.end_of_row, vocab.end_of_image).to(self.model.device)

    def _parts(self, windows: Sequence[tuple[int, Window]]) -> list[Sequence[tuple[int, Window]]]:
        """This rank's windows in as many parts as every rank has: they work layer by layer together, and one must not stop earlier."""
        most = -(-len(windows) // self.ranks.size)
        size = self.options.micro_batch or most
        own = self.ranks.share(windows)
        return [own[start : start + size] or EMPTY for start in range(0, most, size)]

    def _take_step(self, batches: Sequence[Batch], dropout: ResidualDropout) -> tuple[list[Loss], Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        weight = self.ranks.sum(torch.tensor([batch.weight for batch in batches], dtype=torch.float64).sum()).item() or 1.0
        losses = []
        place = self.ranks.rank
        for batch in batches:
            rows = len(batch.ids_BT)
            dropout.seed_step(self.step, [place + row * self.ranks.size for row in range(rows)])
            place += rows * self.ranks.size
            loss = self._loss(batch, weight)
            (loss.total * self.ranks.size).backward()  # gradients are averaged over ranks, and the parts of the loss want to be summed
            losses.append(loss)
        average_gradients(self.model, self.ranks)
        norm = whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.grad_clip))
        self.optimizer.step()
        finish_step(self.model)
        return losses, norm

    def _loss(self, batch: Batch, step_weight: float) -> Loss:
        batch = batch.to(self.model.device)
        dtype = getattr(torch, self.options.dtype)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            hidden = self.model(batch.ids_BT, batch.position_ids_BT, attention_mask(batch, self.attention))
        head, z_loss, learned = self.model.lm_head.weight, self.options.z_loss, learned_rows(self.model)
        return batch_loss(hidden.to(dtype), head, batch, z_loss=z_loss, image_ids=self._image_ids, step_weight=step_weight, learned=learned)

    def _totals(self, batches: Sequence[Batch], losses: Sequence[Loss]) -> Totals:
        tally = Tally(self.tasks)
        for batch, loss in zip(batches, losses, strict=True):
            tally.add(batch, loss)
        totals = tally.summed(self.ranks)
        if not math.isfinite(totals.loss):
            rate = self.options.learning_rate
            raise MgptError(f"the loss at step {self.step} is {totals.loss}; train.learning_rate {rate} may be too high")
        return totals

    def _log(self, totals: Totals, norm: Tensor, batches: Sequence[Batch], clock: Clock) -> None:
        values = {
            "step": self.step,
            "loss": totals.loss,
            "cross_entropy": totals.cross_entropy,
            "z_loss": self.options.z_loss * totals.z,
            "loss_by_task": totals.by_task(),
            "grad_norm": norm.item(),
            "learning_rate": learning_rate(self.options, self.step - 1),
            "tokens": totals.num_tokens,
            "loss_tokens": totals.num_loss_tokens,
            "padding": 1 - totals.num_tokens / totals.num_positions,
            "keys_digest": keys_digest(batches, self.options.batch_size, self.ranks),
        } | clock.rates(self.ranks)
        self._append(values)
        if self.ranks.first and (clock.speak() or self.step == self.options.steps):
            mfu = f", MFU {values['mfu']:.1%}" if "mfu" in values else ""
            rates = f"{values['tokens_per_second']:,.0f} tokens/s, {values['images_per_second']:,.1f} images/s{mfu}"
            print(f"step {self.step} of {self.options.steps}, loss {totals.loss:.4f}, {rates}", flush=True)
        clock.restart()

    def _append(self, values: dict[str, Any]) -> None:
        if self.ranks.first:
            append_log(self.folder / LOG, values)
        if self.board is not None:
            self.board.add(values)

    def _draw(self, grid: Grid) -> None:
        dtype = getattr(torch, self.options.dtype)
        pixels_HWC = draw_grid(grid, self.model, self.folder, self.step, dtype=dtype, ranks=self.ranks)
        if self.board is not None and pixels_HWC is not None:
            self.board.add_picture(pixels_HWC, self.step)

    def _save(self, writer: CheckpointWriter) -> None:
        writer.wait()  # else two copies might lie in memory
        snapshot = take_snapshot(Progress(self.step, self.identity), self.model, self.optimizer, self.options, first=self.ranks.first)
        if not self.ranks.first:
            return

        def write() -> Path:
            tokenizer = read_bytes(self.data.shards.text_tokenizer)
            keep = self.options.keep
            return save_checkpoint(self.folder, snapshot, vq_weights=self.vq_weights, text_tokenizer=tokenizer, keep=keep)

        writer.write(write)


def load_trainer(
    data: TrainData, options: TrainOptions, *, seed: int, folder: Path, max_tokens: int, ranks: Ranks = ALONE, grid: Grid | None = None
) -> Trainer:
    """Begin a training, or go on from its last checkpoint.

    Args:
        folder: OUTPUT/train.
        max_tokens: The longest sequence that a new model shall ever see.

    Raises:
        RecipeError: The model to start from is none, or has another vocabulary, or a weight is for a task that the data has not.
        ResumeError: The folder holds a training with other options or other data.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    tasks = tuple(sorted(data.shards.index["task"].unique().to_pylist()))
    if unknown := sorted(options.task_weights.keys() - set(tasks)):
        raise RecipeError(f"train.task_weights: {unknown[0]!r} is no task of the token shards, which have {', '.join(tasks)}")
    check_mode(options)
    if options.tensorboard:
        check_board()
    if ranks.first:
        remove_unfinished(folder)
    ranks.wait()
    checkpoints = find_checkpoints(folder)
    step, start = 0, str(find_start(options.init)) if options.init else ""
    own = identity(options, data, seed, fingerprint_weights(Path(start)) if start else "")
    if checkpoints:
        progress = load_progress(checkpoints[-1])
        if options.mode != "lora" and not own[START]:  # removed since; it is not needed any more
            own[START] = progress.identity.get(START, "")
        refuse_changes(checkpoints[-1], progress.identity, own)
        step = progress.step
        start = start if options.mode == "lora" else str(checkpoints[-1])
    loaded = load_start(start, data, options, seed=seed, max_tokens=max_tokens, ranks=ranks)
    model = loaded.model
    set_mode(model, options, data.vocab, seed)
    model.config.max_position_embeddings = max(model.config.max_position_embeddings, data.plan.window)
    attention = use_attention(model, options.attention, compiled=options.compile)
    if options.activation_checkpointing:
        recompute_activations(model)
    if options.compile:
        compile_layers(model)
    optimizer = make_optimizer(model, options)
    if checkpoints:
        load_trained(checkpoints[-1], model)
        load_optimizer(checkpoints[-1], model, optimizer, step)
    return Trainer(data, options, seed, own, folder, model, dict(loaded.vq_weights), optimizer, step, ranks, attention, tasks, grid)
