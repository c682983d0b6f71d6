"""Editing: an instruction and a picture ask, the edited picture answers; each further instruction goes on from there.

    user       {instruction_1} <image>
    assistant  <image>                     edited_1
    user       {instruction_2}
    assistant  <image>                     edited_2 ...

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2: the instruction as it is, no words around it.
"""

import random
from dataclasses import dataclass

from pipeline.roles import EDITED, count_numbered, numbered
from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.task import lacks, pick
from tokenizer.tasks.wording import check_wordings, pick_wording, say

INSTRUCTION = "instruction"  # in Sample.metadata: instruction_1, instruction_2, ...


@dataclass(frozen=True)
class Editing:
    """A session of edits as one dialogue. It ends before the first turn that lacks its picture, its alignment or its instruction."""

    wordings: tuple[str, ...] = ("{instruction} <|image|>",)  # of the turn that shows a picture, one of them by sample
    follow_up_wordings: tuple[str, ...] = ("{instruction}",)  # of the others, one of them by turn
    max_turns: int = 0  # of a session, which is cut there; 0: all of them
    single_turns: bool = False  # one turn of the session, drawn by seed, as a dialogue of its own; noted as `turn`
    require_alignment: bool = True  # edited pictures have the original's proportions; False: others are cut by themselves

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, ("instruction",), num_images=1)
        check_wordings("follow_up_wordings", self.follow_up_wordings, ("instruction",))
        if self.max_turns < 0:
            raise ValueError(f"max_turns: 0 or more is wanted, got {self.max_turns}")

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if drop := lacks(sample, framings, "image"):
            return drop
        num_turns = count_numbered(framings, EDITED)
        if self.max_turns:
            num_turns = min(num_turns, self.max_turns)
        if self.single_turns:
            return self._single(sample, framings, rng, num_turns=num_turns)
        return self._session(sample, framings, rng, num_turns=num_turns)

    def _session(self, sample: Sample, framings: Framings, rng: random.Random, *, num_turns: int) -> Conversation | Drop:
        turns: list[Turn] = []
        for number in range(1, max(num_turns, 1) + 1):
            if drop := self._lacks(sample, framings, number):
                if number == 1:
                    return drop
                break
            shown = [ImageRef("image")] if number == 1 else []
            wordings = self.wordings if number == 1 else self.follow_up_wordings
            question = say(pick_wording(wordings, rng), {"instruction": _instruction(sample, number)}, shown)
            turns += [Turn("user", question), Turn("assistant", (_ref(number),))]
        return Conversation(sample.key, "editing", tuple(turns))

    def _single(self, sample: Sample, framings: Framings, rng: random.Random, *, num_turns: int) -> Conversation | Drop:
        drops = {number: drop for number in range(1, max(num_turns, 1) + 1) if (drop := self._lacks_single(sample, framings, number))}
        usable = [number for number in range(1, num_turns + 1) if number not in drops]
        if not usable:
            return drops[1]
        number = pick(usable, rng)
        question = say(pick_wording(self.wordings, rng), {"instruction": _instruction(sample, number)}, [_ref(number - 1)])
        turns = (Turn("user", question), Turn("assistant", (_ref(number),)))
        return Conversation(sample.key, "editing", turns, {"turn": number})

    def _lacks(self, sample: Sample, framings: Framings, number: int) -> Drop | None:
        """Why this turn cannot be used; None if it can."""
        if drop := self._lacks_picture(sample, framings, number):
            return drop
        return None if _instruction(sample, number) else Drop(sample.key, "no_instruction")

    def _lacks_single(self, sample: Sample, framings: Framings, number: int) -> Drop | None:
        """The same of a turn that stands alone: it shows what it begins with."""
        before = self._lacks_picture(sample, framings, number - 1) if number > 1 else None
        return before or self._lacks(sample, framings, number)

    def _lacks_picture(self, sample: Sample, framings: Framings, number: int) -> Drop | None:
        role = numbered(EDITED, number)
        if role in framings and not self.require_alignment:
            return None
        return lacks(sample, framings, role)


def _instruction(sample: Sample, number: int) -> str:
    """Of this turn, without spaces around it; empty where there is none."""
    text = sample.metadata.get(numbered(INSTRUCTION, number))
    return text.strip() if isinstance(text, str) else ""


def _ref(number: int) -> ImageRef:
    """The picture after this turn; after turn 0 the original."""
    return ImageRef(numbered(EDITED, number) if number else "image")
