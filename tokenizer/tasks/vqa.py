"""Questions about pictures: the sample's own turns, of which at least one shows a picture and all answers are text.

    user       {question} <image>          <image> wherever the source's turns name one
    assistant  {answer}
    user       {question} ...

If no turn names a picture although the sample has some, "<image> " stands for each of them in front of the first question.

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2, and `pre_tokenize`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.roles import count_numbered, numbered
from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.conversation import own_turns


@dataclass(frozen=True)
class VQA:
    """The dialogue word for word, up to its last answer."""

    max_turns: int = 0  # questions with their answers, after which a dialogue is cut; 0: all of them

    def __post_init__(self) -> None:
        if self.max_turns < 0:
            raise ValueError(f"max_turns: 0 or more is wanted, got {self.max_turns}")

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        conversation = own_turns(sample, framings, "vqa")
        if isinstance(conversation, Drop):
            return conversation
        if any(turn.role == "assistant" and _shows_image(turn) for turn in conversation.turns):
            return Drop(sample.key, "answers_with_image")
        turns = conversation.turns
        if not any(map(_shows_image, turns)):
            turns = _with_images(turns, _photographs(framings))
        turns = _cut(turns, self.max_turns)
        if not any(map(_shows_image, turns)):
            return Drop(sample.key, "no_image")
        if not all(_text(turn).strip() for turn in turns if turn.role == "assistant"):
            return Drop(sample.key, "no_answer")
        return replace(conversation, turns=turns)


def _shows_image(turn: Turn) -> bool:
    return any(isinstance(part, ImageRef) for part in turn.content)


def _text(turn: Turn) -> str:
    return "".join(part for part in turn.content if isinstance(part, str))


def _photographs(framings: Framings) -> list[str]:
    """The pictures that a dialogue may be about, in order: not what is drawn from them, nor what becomes of them."""
    several = [numbered("image", number) for number in range(1, count_numbered(framings, "image") + 1)]
    return (["image"] if "image" in framings else []) + several


def _with_images(turns: Sequence[Turn], roles: Sequence[str]) -> tuple[Turn, ...]:
    """With these pictures in front of the first question, a space after each."""
    first = next((number for number, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None:
        return tuple(turns)
    shown = tuple(part for role in roles for part in (ImageRef(role), " "))
    return (*turns[:first], replace(turns[first], content=shown + turns[first].content), *turns[first + 1 :])


def _cut(turns: Sequence[Turn], max_answers: int) -> tuple[Turn, ...]:
    """Up to this answer, or with 0 up to the last one: a question that nothing answers teaches nothing."""
    answers = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    last = answers[max_answers - 1] if 0 < max_answers <= len(answers) else answers[-1]
    return tuple(turns[: last + 1])
