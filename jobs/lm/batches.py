"""Batches from token shards: windows of whole sequences, which do not see each other.

    ids       <s> a b c . <s> d e . pad pad       positions restart with each sequence, and attention stays inside it
    targets    a  b c . -  d  e . -  -   -        what comes next, where it takes loss; - is IGNORE_INDEX

Context drop: a text-to-image sequence is cut down to its image, so that a model learns pictures without a prompt, which guidance needs.

Shapes: B windows, T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from jobs.lm.plan import Window
from pipeline.dice import dice
from pipeline.samples import IGNORE_INDEX, TokenSequence
from pipeline.shards.reader import TokenShards
from tokenizer.layout import image_length

DROPPABLE_TASK = "text_to_image"


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's windows."""

    ids_BT: Tensor  # int64
    targets_BT: Tensor  # int64, IGNORE_INDEX where there is no loss
    position_ids_BT: Tensor  # int64
    in_image_BT: Tensor  # bool: the target lies in an image, behind its start-of-image
    tasks_BT: Tensor  # int64: index into `tasks`
    segments_BT: Tensor  # int32: which of its window's sequences a place belongs to; padding to the last
    packed: bool  # whether a window holds more than one sequence
    weights_BT: Tensor  # float32: what each position's loss counts, by its task
    tasks: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]  # of each window's sequences, in order
    lengths: tuple[tuple[int, ...], ...]  # tokens of each of them
    num_tokens: int  # that are not padding
    num_images: int
    num_pairs: int  # of tokens of which one sees the other, or itself

    @property
    def mask_B1TT(self) -> Tensor | None:
        """bool: what sees what; None where every window holds one sequence and each place sees what lies before it."""
        return _mask(self.segments_BT) if self.packed else None

    @property
    def weight(self) -> float:
        """The weights of all loss tokens together."""
        return self.weights_BT[self.targets_BT != IGNORE_INDEX].sum(dtype=torch.float64).item()

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        moved = {name: value.to(device) for name in self.__slots__ if isinstance(value := getattr(self, name), Tensor)}
        return replace(self, **moved)


@dataclass(frozen=True, slots=True)
class BatchMaker:
    """Reads the sequences of windows and lays them out.

    Args:
        numbers: [N] of the sequences in the shards; windows count in these.
        window: Tokens of a window.
        context_drop: Share of text-to-image sequences that lose their prompt, drawn by (seed, key, epoch).
        task_weights: What a loss token counts, by task; 1 where a task is not named.
    """

    shards: TokenShards
    numbers: np.ndarray
    window: int
    context_drop: float
    seed: int
    task_weights: Mapping[str, float] = field(default_factory=dict)

    def make(self, windows: Sequence[tuple[int, Window]]) -> Batch:
        """The batch of some windows, each with its epoch."""
        return lay_out([[self._read(number, epoch) for number in window] for epoch, window in windows], self.window, self.task_weights)

    def _read(self, number: int, epoch: int) -> TokenSequence:
        sequence = self.shards.read(int(self.numbers[number]))
        droppable = sequence.task == DROPPABLE_TASK and len(sequence.images) == 1
        if droppable and dice(self.seed, f"{sequence.key}\0{epoch}", "context drop").random() < self.context_drop:
            return drop_context(sequence)
        return sequence


def drop_context(sequence: TokenSequence) -> TokenSequence:
    """A sequence's only image, from start-of-image to end-of-image; all of it takes loss but the first token, which nothing predicts."""
    [image] = sequence.images
    length = image_length(image.height, image.width)
    ids = sequence.input_ids[image.start : image.start + length]
    moved = type(image)(0, image.height, image.width)
    return TokenSequence(sequence.key, sequence.task, ids, ((1, length),), (moved,), sequence.caption, sequence.metadata)


def lay_out(rows: Sequence[Sequence[TokenSequence]], window: int, task_weights: Mapping[str, float] = MappingProxyType({})) -> Batch:
    """Put sequences one behind the other into windows; a window without any is all padding."""
    B = len(rows)
    tasks = tuple(sorted({sequence.task for row in rows for sequence in row}))
    ids, positions, task_ids = (np.zeros((B, window), np.int64) for _ in range(3))
    segments = np.zeros((B, window), np.int32)
    counting = np.arange(window)
    targets = np.full((B, window), IGNORE_INDEX, np.int64)
    in_image = np.zeros((B, window), bool)
    weights = np.ones((B, window), np.float32)
    num_tokens = 0
    for b, row in enumerate(rows):
        start = 0
        for segment, sequence in enumerate(row):
            length = len(sequence.input_ids)
            here = slice(start, start + length)
            ids[b, here] = sequence.input_ids
            for span_start, span_stop in sequence.loss_spans:
                first = max(span_start, 1)  # nothing predicts a sequence's first token
                targets[b, start + first - 1 : start + span_stop - 1] = sequence.input_ids[first:span_stop]
            ends = start + length if segment + 1 < len(row) else window  # padding belongs to the last sequence and comes behind it
            positions[b, start:ends] = counting[: ends - start]
            segments[b, start:ends] = segment
            if task := tasks.index(sequence.task):
                task_ids[b, here] = task
            if (weight := task_weights.get(sequence.task, 1.0)) != 1:
                weights[b, here] = weight
            for image in sequence.images:
                first = start + image.start  # this place predicts the token behind start-of-image
                in_image[b, first : first + image_length(image.height, image.width) - 1] = True
            start += length
        num_tokens += start
    return Batch(
        ids_BT=torch.from_numpy(ids),
        targets_BT=torch.from_numpy(targets),
        position_ids_BT=torch.from_numpy(positions),
        in_image_BT=torch.from_numpy(in_image),
        tasks_BT=torch.from_numpy(task_ids),
        segments_BT=torch.from_numpy(segments),
        packed=any(len(row) > 1 for row in rows),
        weights_BT=torch.from_numpy(weights),
        tasks=tasks,
        keys=tuple(tuple(sequence.key for sequence in row) for row in rows),
        lengths=tuple(tuple(len(sequence.input_ids) for sequence in row) for row in rows),
        num_tokens=num_tokens,
        num_images=sum(len(sequence.images) for row in rows for sequence in row),
        num_pairs=sum(len(sequence.input_ids) * (len(sequence.input_ids) + 1) // 2 for row in rows for sequence in row),
    )


def _mask(segments_BT: Tensor) -> Tensor:
    T = segments_BT.shape[1]
    same = segments_BT[:, None, :, None] == segments_BT[:, None, None, :]
    return same & torch.ones(T, T, dtype=torch.bool, device=segments_BT.device).tril()
