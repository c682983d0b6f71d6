"""What captioners answer, and which of the answers are captions: not refusals, and not the first half of a sentence."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from pipeline.samples import Caption

PROMPT_DIGITS = 16  # of the sha256 of a prompt, in hex

_WE = r"(?:i|we)"
_CANNOT = (
    r"(?:can ?not|can'?t|could ?n[o']t|won'?t|will not|(?:am|'m|are|'re) (?:not able to|unable to)|don'?t|do not"
    r"|(?:don'?t|do not) have the (?:ability|capability))"
)
_DEED = (
    r"(?:assist|help|provide|describe|identify|recogni[sz]e|view|see|access|process|analy[sz]e|fulfil|fulfill|comply|generate|create|answer"
    r"|discuss|continue|engage|give|offer|caption|interpret|determine|make|say|tell|share|to)"
)
_SIGH = r"(?:(?:oh|well|no|unfortunately|regrettably|sorry|my apologies|apologies|i apologi[sz]e|but)\b[\s,.;:!]*)*"
_MODEL = r"an? (?:ai\b|artificial intelligence|(?:large )?language model|(?:virtual|digital|text-based) (?:assistant|model|ai)\b)"
_REFUSALS = (
    rf"{_SIGH}{_WE} ?{_CANNOT} (?:be able to )?{_DEED}\b",  # Unfortunately, I can't help with that
    rf"(?:i'?m|i am|we'?re|we are) (?:very |so |really |truly )?(?:sorry|afraid)\b[\s,.;:]*(?:but|that|however|{_WE})\b",
    rf"(?:i apologi[sz]e|my apologies|apologies|sorry)\b[\s,.;:]*(?:but\b|for (?:the|any) (?:confusion|inconvenience)|{_WE}\b)",
    rf"as {_MODEL}",
    rf"(?:i am|i'm) (?:just |only |merely )?{_MODEL}",
    r"(?:there is )?no (?:image|picture|photo) (?:was |is |has been )?(?:provided|attached|uploaded|given)\b",
    r"(?:please|could you(?: please)?) (?:provide|upload|attach|share)\b",
)
_REFUSAL = re.compile(rf"[\s\"'*_(]*(?:{'|'.join(_REFUSALS)})", re.IGNORECASE)
_HALF_PAIR = re.compile("[\ud800-\udfff]")  # JSON can hold half a surrogate pair, UTF-8 cannot
_SENTENCE_END = re.compile(r"(?:[.!?\u2026]+[\"'\u2019\u201d)\]*_]*(?=\s|$))|[\u3002\uff01\uff1f][\u300d\u300f\u201d\u2019\uff09]*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|st|mt|ft|prof|sr|jr|vs|no|nos|vol|ca|c|cf|e\.g|i\.e|approx|est|fig|gen|col|capt|lt|sgt|[A-Z])\.$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a captioner said, word by word."""

    text: str
    finish: Literal["stop", "length", "refused"]  # refused where a server says so itself
    num_tokens: int | None = None  # without the one that ends it
    revision: str = ""  # of the weights, where it is known


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    reason: str  # snake_case
    message: str


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """How captions are made of answers."""

    source: str  # under which they are stored
    model: str
    prompt: str
    truncated: Literal["cut", "drop", "keep"]
    refused: Literal["drop", "keep"]

    def caption(self, answer: Answer | Failure) -> Caption:
        """The caption that an answer is; one with a flaw is kept to be looked at, and not used."""
        prompt_hash = hashlib.sha256(self.prompt.encode("utf-8", "surrogatepass")).hexdigest()[:PROMPT_DIGITS] if self.prompt else ""
        if isinstance(answer, Failure):
            return Caption("", self.source, self.model, prompt_hash=prompt_hash, finish="error", flaw=answer.reason)
        text = _HALF_PAIR.sub("\ufffd", answer.text).strip()
        finish, flaw = answer.finish, ""
        if finish == "refused" or is_refusal(text):
            finish, flaw = "refused", "caption_refused" if self.refused == "drop" or not text else ""
        elif not text:
            flaw = "caption_empty"
        elif self.truncated != "keep" and (whole := whole_sentences(text, finish == "length")) != text:
            text, flaw = (whole, "") if whole and self.truncated == "cut" else (text, "caption_truncated")
        return Caption(text, self.source, self.model, answer.revision, prompt_hash, finish, answer.num_tokens, flaw)


def is_refusal(text: str) -> bool:
    """Whether an answer begins with the words in which chat models refuse, in English."""
    return bool(_REFUSAL.match(" ".join(text.replace("\u2019", "'").split())))


def whole_sentences(text: str, was_cut: bool) -> str:
    """A text up to the end of its last whole sentence; empty where none is whole.

    A text without any end of a sentence is a phrase, as the smaller captioners write them ("a dog on a beach"): whole, if it was not cut.

    Args:
        was_cut: The answer ended at the limit of its length.
    """
    ends = [match.end() for match in _SENTENCE_END.finditer(text) if not _ABBREVIATION.search(text[: match.end()])]
    if ends and not text[ends[-1] :].strip():
        return text
    if not ends:
        return "" if was_cut else text
    return text[: ends[-1]]
