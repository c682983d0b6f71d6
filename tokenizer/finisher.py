"""From a filtered sample to its token sequences: tasks, text, crops, and the codes put in.

What `pipeline.unit_job` calls a finisher: it plans without decoding, decodes and cuts, and lays the codes out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.dice import dice
from pipeline.samples import Conversation, Drop, ImageRef, Sample, TokenSequence
from pipeline.unit_job import Picture, Work
from tokenizer.caption_choice import choose_caption
from tokenizer.framing import Framings, cut_place, frame_ref, frame_sample
from tokenizer.layout import image_length
from tokenizer.mixture import plan_mixture
from tokenizer.options import TokenOptions
from tokenizer.rendering.render import Renderer
from tokenizer.sequence import CropSize, Outline, fill, image_refs, outline
from tokenizer.tasks.task import WeightedTask, draw_tasks
from tokenizer.text import TextTokenizer

SEQUENCE_TOKENS = "sequence_tokens"  # the ledger's column for the length of a sample's longest sequence
TOO_LONG_TASKS = "too_long_tasks"  # and for how many tasks it was too long, while it feeds others


@dataclass(frozen=True, slots=True)
class Draft:
    """A sequence that waits for its codes."""

    outline: Outline
    caption: str
    metadata: Mapping[str, Any]


@dataclass
class SequenceMaker:
    """The tokenizer's half of a unit of work."""

    options: TokenOptions
    tasks: tuple[WeightedTask, ...]
    seed: int
    promised: tuple[str, ...] = ()  # roles that annotators are sure to add to every sample with a picture
    replaced: tuple[str, ...] = ()  # those of them that take the place of what a sample brings
    _text: TextTokenizer | None = field(default=None, init=False, repr=False)

    def setup(self) -> None:
        self._text = TextTokenizer(self.options.text_path)

    @property
    def plans(self) -> bool:
        """Whether the run has to be seen as a whole before anything is made of a sample."""
        return self.options.mixture == "planned"

    def offers(self, sample: Sample) -> np.ndarray:
        """What each task could make of a sample: [T] uint32, the length of its sequence; 0 where it cannot, or is too long."""
        sample, _ = self._with_caption(sample)
        framings = frame_sample(sample, self.options, self.seed)
        if sample.main_role:
            main = framings[sample.main_role]
            framings = dict.fromkeys(self.promised, main) | framings | dict.fromkeys(self.replaced, main)
        lengths = self._lengths(sample, [self._attempt(sample, framings, number, 0) for number in range(len(self.tasks))], framings)
        return np.where(lengths <= self.options.max_tokens, lengths, 0).astype(np.uint32)

    def assign(self, keys: Sequence[str], offers: np.ndarray) -> np.ndarray:
        """[N, T] uint8: how often each task uses each sample, given the offers [N, T] of a whole run."""
        weights, options = [task.weight for task in self.tasks], self.options
        return plan_mixture(keys, offers, weights, unit=options.weights_count, max_repeats=options.max_repeats, seed=self.seed)

    def work(self, sample: Sample, draws: np.ndarray | None = None) -> Work | Drop:
        """Draw the sample's caption and tasks, and lay out their sequences; no pixel is decoded.

        Args:
            draws: [T] how often each task uses it; None leaves it to the sample's own dice.
        """
        sample, provenance = self._with_caption(sample)
        framings = frame_sample(sample, self.options, self.seed)
        first = [self._attempt(sample, framings, number, 0) for number in range(len(self.tasks))]
        too_long = [number for number, one in enumerate(first) if isinstance(one, Conversation) and not self._fits(sample, one, framings)]
        conversations = self._conversations(sample, framings, first, too_long, draws)
        if isinstance(conversations, Drop):
            return conversations
        at = cut_place(sample.key, self.options, self.seed)
        outlines = self._outlines(sample, [conversation for _, conversation in conversations], framings)
        drafts = [
            Draft(outlined, sample.caption, self._metadata(sample, one, repeat) | provenance)
            for outlined, (repeat, one) in zip(outlines, conversations, strict=True)
        ]
        scores = {SEQUENCE_TOKENS: float(max(draft.outline.length for draft in drafts))}
        if too_long:
            scores[TOO_LONG_TASKS] = float(len(too_long))
        fitting = tuple(draft for draft in drafts if draft.outline.length <= self.options.max_tokens)
        if not fitting:
            return Drop(sample.key, "too_long", scores)
        shown = dict.fromkeys(slot.ref for draft in fitting for slot in draft.outline.slots)
        return Work(fitting, tuple(Picture(ref, frame_ref(ref, framings, self.options, at)) for ref in shown), scores)

    def pixels(self, sample: Sample, work: Work) -> list[np.ndarray]:
        """uint8 [H, W, 3] of each picture; every file is decoded once."""
        renderer = Renderer(sample, self.options)
        return [renderer.draw(picture.ref, picture.crop) for picture in work.pictures]

    def finish(self, work: Work, codes: list[np.ndarray]) -> list[TokenSequence]:
        """The sequences, with the codes laid out."""
        by_ref = {picture.ref: codes_HW for picture, codes_HW in zip(work.pictures, codes, strict=True)}
        return [
            fill(draft.outline, [by_ref[slot.ref] for slot in draft.outline.slots], self._loaded_text, draft.caption, draft.metadata)
            for draft in work.drafts
        ]

    @property
    def _loaded_text(self) -> TextTokenizer:
        assert self._text is not None, "setup() comes first"
        return self._text

    def _with_caption(self, sample: Sample) -> tuple[Sample, dict[str, Any]]:
        return choose_caption(sample, self.options.captions, self.seed, self.options.min_caption_score)

    def _attempt(self, sample: Sample, framings: Framings, number: int, repeat: int) -> Conversation | Drop:
        weighted = self.tasks[number]
        return weighted.task.format(sample, framings, dice(self.seed, sample.key, f"task {number} {weighted.kind} {repeat}"))

    def _outlines(self, sample: Sample, conversations: Iterable[Conversation], framings: Framings) -> list[Outline]:
        at = cut_place(sample.key, self.options, self.seed)
        sizes: dict[ImageRef, CropSize] = {}
        outlines = []
        for conversation in conversations:
            for ref in image_refs(conversation):
                crop = frame_ref(ref, framings, self.options, at)
                sizes[ref] = crop.width, crop.height
            outlines.append(outline(conversation, sizes, self._loaded_text))
        return outlines

    def _lengths(self, sample: Sample, attempts: Sequence[Conversation | Drop], framings: Framings) -> np.ndarray:
        """[T] int64, 0 for a Drop."""
        lengths = np.zeros(len(attempts), np.int64)
        usable = [number for number, result in enumerate(attempts) if isinstance(result, Conversation)]
        outlines = self._outlines(sample, (result for result in attempts if isinstance(result, Conversation)), framings)
        lengths[usable] = [outlined.length for outlined in outlines]
        return lengths

    def _fits(self, sample: Sample, conversation: Conversation, framings: Framings) -> bool:
        """Whether its sequence keeps to the limit. Text is encoded only where that is in doubt: a token stands for a byte or more."""
        at = cut_place(sample.key, self.options, self.seed)
        most = 1
        for turn in conversation.turns:
            most += 1
            for part in turn.content:
                crop = frame_ref(part, framings, self.options, at) if isinstance(part, ImageRef) else None
                most += image_length(crop.height, crop.width) if crop else len(str(part).encode())
        return most <= self.options.max_tokens or int(self._lengths(sample, [conversation], framings)[0]) <= self.options.max_tokens

    def _conversations(
        self,
        sample: Sample,
        framings: Framings,
        first: Sequence[Conversation | Drop],
        too_long: Sequence[int],
        draws: np.ndarray | None,
    ) -> list[tuple[int, Conversation]] | Drop:
        """The drawn conversations, each with the number of earlier ones that bear its task's name: a recipe may list a task twice.

        Args:
            first: What each task makes of the sample.
            too_long: Numbers of tasks that make too much of it.
        """
        usable = [number for number, result in enumerate(first) if isinstance(result, Conversation) and number not in too_long]
        if not usable and too_long:
            lengths = self._lengths(sample, first, framings)
            return Drop(sample.key, "too_long", {SEQUENCE_TOKENS: float(lengths.max())})
        if not usable:
            return next(result for result in first if isinstance(result, Drop))
        drawn = self._draw(sample, first, usable, framings) if draws is None else np.repeat(np.arange(len(draws)), draws).tolist()
        conversations: list[tuple[int, Conversation]] = []
        why_not: Drop | None = None
        for place, number in enumerate(drawn):
            repeat = drawn[:place].count(number)
            result = self._attempt(sample, framings, number, repeat)
            if isinstance(result, Drop):
                why_not = result
            else:
                conversations.append((sum(earlier.task == result.task for _, earlier in conversations), result))
        return conversations or why_not or Drop(sample.key, "no_task_drawn")

    def _draw(self, sample: Sample, first: Sequence[Conversation | Drop], usable: list[int], framings: Framings) -> list[int]:
        """Tasks by the sample's own dice; where weights count tokens, a task is drawn the more often the shorter its sequence is."""
        weights = np.array([self.tasks[number].weight for number in usable])
        if self.options.weights_count == "tokens":
            by_length = weights / self._lengths(sample, [first[number] for number in usable], framings)
            weights = by_length * (weights.sum() / by_length.sum())
        point = dice(self.seed, sample.key, "tasks").random()
        return [usable[index] for index in draw_tasks(weights.tolist(), sum(task.weight for task in self.tasks), point)]

    def _metadata(self, sample: Sample, conversation: Conversation, repeat: int) -> dict[str, Any]:
        kept = {name: sample.metadata[name] for name in self.options.keep_metadata if name in sample.metadata}
        return kept | dict(conversation.notes) | ({"repeat": repeat} if repeat else {})
