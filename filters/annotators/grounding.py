"""A caption as a grounding model reads it, and the way back: from tokens that light up for a box to the caption's own characters.

    caption   A Man and his red T-shirt
    asked     a man and his red t-shirt.       lower case, stripped, with a full stop; each character knows where it comes from
    scores    .1 .2  .0  .3  .3  .6 .1 .5 .0   of the tokens, for one box
    words     .1 .2  .0  .3  .3    .6
    phrase                  [-------]          "red T-shirt"; its core is "T-shirt"

The phrase of a box is the run of words above the threshold around its strongest one, without function words at its ends and numbers
in front. A word is as
strong as its strongest token. The strongest word that remains is the core: what the box shows, where the others only describe it.

Source: GroundingDINO, groundingdino/util/inference.py `predict_with_caption` (the form of the caption) and util/utils.py
`get_phrases_from_posmap` (tokens above the threshold); the way back to the caption is ours: theirs joins tokens, wherever they stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from filters.annotators.phrases import FUNCTION_WORDS, Span, are_next, plain, without_possessive

_SENTENCE_ENDS = frozenset(".!?\u3002\uff01\uff1f")


@dataclass(frozen=True, slots=True)
class Asked:
    """A text that a model is given, made of a caption."""

    text: str
    origins: tuple[int, ...]  # for each of its characters, which one of the caption it comes from; -1: from none

    def span(self, start: int, end: int) -> Span | None:
        """The caption's characters behind a stretch of the text; None where there are none."""
        known = [origin for origin in self.origins[start:end] if origin >= 0]
        return (known[0], known[-1] + 1) if known else None

    def part(self, start: int, end: int) -> "Asked":
        """A stretch of the text, as a text of its own."""
        return _closed(self.text[start:end], self.origins[start:end])


def ask_caption(caption: str) -> Asked:
    """The whole caption. Lower case may be longer than what it comes from: \u0130 becomes two characters."""
    origins = tuple(place for place, char in enumerate(caption) for _ in char.lower())
    return _closed(caption.lower(), origins)


def ask_labels(labels: Sequence[str]) -> tuple[str, list[Span]]:
    """Phrases as one text, "a cat. a dog.", and where each of them stands in it."""
    text, spans = "", []
    for label in labels:
        text += " " if text else ""
        spans.append((len(text), len(text) + len(label.lower())))
        text += f"{label.lower()}."
    return text, spans


def split_asked(asked: Asked, tokens: Sequence[Span], max_tokens: int) -> list[Asked]:
    """Parts that a text encoder holds, together the whole: cut behind sentences, or else between words.

    Args:
        tokens: Of the whole text, as stretches of its characters.
        max_tokens: Of a part, without the full stop that closes it.
    """
    if len(tokens) - 1 <= max_tokens:  # the last one is the full stop
        return [asked]
    parts, first = [], 0
    while first < len(tokens):
        last = min(first + max_tokens, len(tokens))
        if last < len(tokens):
            gaps = [place for place in range(first + 1, last + 1) if tokens[place - 1][1] < tokens[place][0]]
            ends = [place for place in gaps if asked.text[tokens[place - 1][1] - 1] in _SENTENCE_ENDS]
            last = (ends or gaps or [last])[-1]
        parts.append(asked.part(tokens[first][0], tokens[last - 1][1]))
        first = last
    return parts


def grounded_phrase(
    caption: str, caption_words: Sequence[Span], tokens: Sequence[tuple[Span | None, float]], threshold: float
) -> tuple[Span, Span] | None:
    """The phrase that a box shows, and its core.

    Args:
        caption_words: `words(caption)`, which is the same for all boxes.
        tokens: The caption's characters behind each token, None for what does not come from it; and its score for this box.
        threshold: What a token has to exceed.

    Returns:
        Two spans of the caption, the second within the first; None where no word exceeds the threshold, or only function words do.
    """
    strength = _strengths(caption_words, tokens)
    if not caption_words or max(strength) <= threshold:
        return None
    strongest = strength.index(max(strength))
    first = last = strongest
    while first > 0 and strength[first - 1] > threshold and are_next(caption, caption_words[first - 1], caption_words[first]):
        first -= 1
    while last + 1 < len(strength) and strength[last + 1] > threshold and are_next(caption, caption_words[last], caption_words[last + 1]):
        last += 1
    run = list(range(first, last + 1))
    said = {place: plain(caption[slice(*caption_words[place])]) for place in run}
    is_function = {place: said[place] in FUNCTION_WORDS for place in run}
    while run and (is_function[run[0]] or said[run[0]].isdecimal()):
        run.pop(0)
    while run and is_function[run[-1]]:
        run.pop()
    if not run:
        return None
    core = max((place for place in run if not is_function[place]), key=lambda place: (strength[place], -place))
    return (caption_words[run[0]][0], without_possessive(caption, caption_words[run[-1]])[1]), without_possessive(
        caption, caption_words[core]
    )


def strongest_label(spans: Sequence[Span], tokens: Sequence[tuple[Span, float]], threshold: float) -> int | None:
    """Which of several phrases, as `ask_labels` puts them, a box shows: the one with the strongest token above the threshold.

    Args:
        tokens: The characters of the text that each token stands for, and its score.
    """
    strength = _strengths(spans, tokens)
    return strength.index(max(strength)) if strength and max(strength) > threshold else None


def _strengths(spans: Sequence[Span], tokens: Sequence[tuple[Span | None, float]]) -> list[float]:
    """For each span the score of the strongest token that touches it, 0 without one. Both are in order."""
    strength, place = [0.0] * len(spans), 0
    for token, score in tokens:
        if token is None or token[0] >= token[1]:
            continue
        while place < len(spans) and spans[place][1] <= token[0]:
            place += 1
        touched = place
        while touched < len(spans) and spans[touched][0] < token[1]:
            strength[touched] = max(strength[touched], score)
            touched += 1
    return strength


def _closed(text: str, origins: tuple[int, ...]) -> Asked:
    """Stripped, and with a full stop."""
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    text, origins = text[start:end], origins[start:end]
    return Asked(text, origins) if text.endswith(".") else Asked(f"{text}.", (*origins, -1))
