"""From a filtered sample to its token sequences: tasks, text, crops, and the codes put in.

What `pipeline.unit_job` calls a finisher: it plans without decoding, decodes and cuts, and lays the codes out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.dice import dice
from pipeline.samples import Conversation, Drop, ImageRef, Sample, TokenSequence
from pipeline.unit_job import Picture, Work
from tokenizer.caption_choice import choose_caption
from tokenizer.framing import Framings, cut_place, frame_ref, frame_sample
from tokenizer.options import TokenOptions
from tokenizer.rendering.render import Renderer
from tokenizer.sequence import Outline, fill, outline
from tokenizer.tasks.task import WeightedTask, draw_tasks
from tokenizer.text import TextTokenizer

SEQUENCE_TOKENS = "sequence_tokens"  # the ledger's column for the length of a sample's longest sequence


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
    _text: TextTokenizer | None = field(default=None, init=False, repr=False)

    def setup(self) -> None:
        self._text = TextTokenizer(self.options.text_path)

    def work(self, sample: Sample) -> Work | Drop:
        """Draw the sample's caption and tasks, and lay out their sequences; no pixel is decoded."""
        sample, provenance = choose_caption(sample, self.options.captions, self.seed, self.options.min_caption_score)
        framings = frame_sample(sample, self.options, self.seed)
        conversations = self._conversations(sample, framings)
        if isinstance(conversations, Drop):
            return conversations
        at = cut_place(sample.key, self.options, self.seed)
        refs = dict.fromkeys(
            part for _, conversation in conversations for turn in conversation.turns for part in turn.content if isinstance(part, ImageRef)
        )
        crops = {ref: frame_ref(ref, framings, self.options, at) for ref in refs}
        sizes = {ref: (crop.width, crop.height) for ref, crop in crops.items()}
        drafts = [
            Draft(
                outline(conversation, sizes, self._loaded_text), sample.caption, self._metadata(sample, conversation, repeat) | provenance
            )
            for repeat, conversation in conversations
        ]
        scores = {SEQUENCE_TOKENS: float(max(draft.outline.length for draft in drafts))}
        fitting = tuple(draft for draft in drafts if draft.outline.length <= self.options.max_tokens)
        if not fitting:
            return Drop(sample.key, "too_long", scores)
        shown = dict.fromkeys(slot.ref for draft in fitting for slot in draft.outline.slots)
        return Work(fitting, tuple(Picture(ref, crops[ref]) for ref in shown), scores)

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

    def _conversations(self, sample: Sample, framings: Framings) -> list[tuple[int, Conversation]] | Drop:
        """The drawn conversations, each with the number of earlier ones that bear its task's name: a recipe may list a task twice."""

        def attempt(number: int, repeat: int) -> Conversation | Drop:
            weighted = self.tasks[number]
            return weighted.task.format(sample, framings, dice(self.seed, sample.key, f"task {number} {weighted.kind} {repeat}"))

        first = [attempt(number, 0) for number in range(len(self.tasks))]
        usable = [number for number, result in enumerate(first) if isinstance(result, Conversation)]
        if not usable:
            return next(result for result in first if isinstance(result, Drop))
        point = dice(self.seed, sample.key, "tasks").random()
        drawn = draw_tasks([self.tasks[number].weight for number in usable], sum(task.weight for task in self.tasks), point)
        conversations: list[tuple[int, Conversation]] = []
        for place, index in enumerate(drawn):
            repeat = drawn[:place].count(index)
            result = attempt(usable[index], repeat)
            if isinstance(result, Conversation):
                conversations.append((sum(earlier.task == result.task for _, earlier in conversations), result))
        return conversations or Drop(sample.key, "no_task_drawn")

    def _metadata(self, sample: Sample, conversation: Conversation, repeat: int) -> dict[str, Any]:
        kept = {name: sample.metadata[name] for name in self.options.keep_metadata if name in sample.metadata}
        return kept | dict(conversation.notes) | ({"repeat": repeat} if repeat else {})
