"""Drop captions with words that are not wanted, from a list of your own; none is built in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from filters.captions import folded_words, is_unspaced
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

Words = tuple[str, ...]  # an entry, word by word


@dataclass(frozen=True)
class BlockedWords:
    """Keep a sample whose caption and turns hold none of the words.

    Whole words count, in any case and any script: "ass" is not in "glass". An entry of several words is a phrase. Scripts without spaces
    between words (Chinese, Japanese, Thai, Lao, Khmer) show no whole words: there an entry counts wherever it stands.

    The score hangs on the list, as the list is what is measured: after a change of it, samples must be measured again.
    """

    scores: ClassVar[tuple[str, ...]] = ("blocked_words",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"max_found": "blocked_words"}
    measured_by: ClassVar[tuple[str, ...]] = ("words", "file")

    words: tuple[str, ...] = ()  # words and phrases
    file: str = ""  # more of them, one a line; empty lines and those that begin with # are left out
    max_found: int = 0

    def check(self) -> None:
        """
        Raises:
            RecipeError: No such file, no text in UTF-8, or nothing is listed at all.
        """
        if not any(_entries(self.words, self.file)):
            raise RecipeError("blocked_words: no words are listed; give `words` or `file`")

    def fingerprint(self) -> str:
        """Of the file's content."""
        return hashlib.sha256(paths.read_bytes(self.file)).hexdigest() if self.file else ""

    def measure(self, samples: list[Sample]) -> list[Measured]:
        phrases, inside = _entries(self.words, self.file)
        longest = max(map(len, phrases), default=0)
        judged = [sample.images or sample.turns for sample in samples]
        counts = [_count(sample, phrases, inside, longest) for sample in samples]
        return [Measured({"blocked_words": float(count)}) if there else Measured() for there, count in zip(judged, counts, strict=True)]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "blocked_words" if scores["blocked_words"] > self.max_found else ""


def _count(sample: Sample, phrases: frozenset[Words], inside: tuple[str, ...], longest: int) -> int:
    """How often entries stand in what the sample says."""
    texts = [sample.caption, *(piece for turn in sample.turns for piece in turn.content if isinstance(piece, str))]
    found = 0
    for words in map(folded_words, texts):
        for count in range(1, longest + 1):
            found += sum(tuple(words[i : i + count]) in phrases for i in range(len(words) - count + 1))
        found += sum(word.count(entry) for word in words for entry in inside)
    return found


@lru_cache(maxsize=8)  # a list is read once a process
def _entries(words: tuple[str, ...], file: str) -> tuple[frozenset[Words], tuple[str, ...]]:
    """Entries that count as whole words, and those that count wherever they stand."""
    lines = list(words)
    if file:
        try:
            lines += paths.read_bytes(file).decode().splitlines()
        except UnicodeDecodeError as error:
            raise RecipeError(f"blocked_words.file: {file} is no text in UTF-8: {error}") from error
    entries = {tuple(folded_words(line)) for line in lines if not line.lstrip().startswith("#")} - {()}
    inside = {entry for entry in entries if len(entry) == 1 and is_unspaced(entry[0])}
    return frozenset(entries - inside), tuple(sorted(entry[0] for entry in inside))
