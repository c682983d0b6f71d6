"""What captioners share: which samples they are asked about, and what becomes of the answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from filters.annotators.answers import Answer, AnswerRules, Failure
from filters.annotators.held_answers import HeldAnswers, Outcome
from pipeline.errors import SampleError
from pipeline.samples import Sample

Said = Sequence[Answer | Failure] | SampleError  # of one sample: its answers, or why it could not be shown
OnFailure = Literal["fail", "keep_original"]


class Captioner(Protocol):
    """The options that every captioner has."""

    @property
    def name(self) -> str: ...

    @property
    def max_new_tokens(self) -> int: ...

    @property
    def max_side(self) -> int: ...

    @property
    def num_captions(self) -> int: ...

    @property
    def temperature(self) -> float: ...

    @property
    def top_p(self) -> float: ...


def with_captions(
    samples: list[Sample],
    ask: Callable[[list[Sample]], list[Said]],
    held: HeldAnswers,
    *,
    rules: AnswerRules,
    on_failure: OnFailure,
) -> list[Sample]:
    """The samples with captions added. Dialogues and samples without a picture have nothing to caption, and stay as they are.

    Args:
        ask: What the captioner says of each; called once for those that `held` does not know.
        held: Changed: it then holds the outcomes of these samples.

    Raises:
        SampleError: A picture cannot be decoded; or, where failures count, a sample has no caption that can be used.
    """

    def outcomes(new: list[Sample]) -> list[Outcome]:
        return [_outcome(sample, answers, rules, on_failure) for sample, answers in zip(new, ask(new), strict=True)]

    return held.annotate(samples, lambda sample: bool(sample.images) and not sample.turns, outcomes)


def refuse_options(captioner: Captioner, *counts: int) -> None:
    """
    Args:
        counts: Further options that are 1 or more.

    Raises:
        ValueError: Options that are out of bounds or contradict each other.
    """
    if captioner.name in ("", "original"):
        raise ValueError(f"name is under what captions are stored, and {captioner.name!r} is none")
    if min(captioner.max_new_tokens, captioner.max_side, captioner.num_captions, *counts) < 1:
        raise ValueError("numbers of tokens, captions, beams, requests and pixels must be 1 or more")
    if captioner.temperature < 0 or not 0 < captioner.top_p <= 1:
        raise ValueError(f"temperature is 0 or more and top_p in (0, 1], got {captioner.temperature:g} and {captioner.top_p:g}")
    if captioner.num_captions > 1 and captioner.temperature == 0:
        raise ValueError(f"{captioner.num_captions} captions at temperature 0 would all be the same; set a temperature")


def _outcome(sample: Sample, said: Said, rules: AnswerRules, on_failure: OnFailure) -> Outcome:
    if isinstance(said, SampleError):
        return said
    captions = tuple(rules.caption(answer) for answer in said)
    if on_failure == "keep_original" or any(not caption.flaw for caption in captions):
        return replace(sample, captions=(*sample.captions, *captions)) if captions else sample
    message = said[0].message if isinstance(said[0], Failure) else f"{captions[0].finish} after {captions[0].text!r}"
    return SampleError(sample.key, captions[0].flaw, f"{rules.source}: {message}")
