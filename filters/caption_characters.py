"""Drop captions that are not prose: numbers and signs, all capitals, markup, letters that a wrong decoding broke.

Mojibake is found by what it is: UTF-8 read as Windows-1252 leaves a lead byte's letter and the right number of continuation bytes' signs
behind it ("Ã©", "â€™", "ä¸­å›½"). Sequences that occur in clean text by chance ("ß“") count only where two of them follow each other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.captions import is_letter, judged_caption
from filters.reasons import first_reason
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

_MARKUP = re.compile(
    r"</?[a-z][^<>]*>|<!--|&(?:[a-z]{2,8}|#\d{2,6}|#x[\da-f]{2,6});|\[/?(?:url|img|b|i|u|size|color|quote|caption)\b[^\]]*\]|\]\("
    r"|\{\{|\}\}|\$\{|%(?:20|2[CF]|3[AD])|\\[nrt](?![a-z])|\\u[\da-f]{4}|\b(?:alt|src|href|class|style|width)\s*=\s*[\"']",
    re.IGNORECASE,
)
_TAIL = "[\x80-\xbf]"
_MOJIBAKE = re.compile(
    f"[\xc2\xc3]{_TAIL}|[\xe2\xef]{_TAIL}{{2}}|(?:[\xc4-\xdf]{_TAIL}){{2,}}|(?:[\xe0-\xef]{_TAIL}{{2}}){{2,}}|[\xf0-\xf4]{_TAIL}{{3}}|\ufffd"
)


@dataclass(frozen=True)
class CaptionCharacters:
    """Keep a sample whose caption is made of words. Shares are of the characters that are no blanks."""

    scores: ClassVar[tuple[str, ...]] = (
        "caption_letters",
        "caption_digits",
        "caption_signs",
        "caption_capitals",
        "caption_markup",
        "caption_mojibake",
    )
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {
        "min_letters": "caption_letters",
        "max_digits": "caption_digits",
        "max_signs": "caption_signs",
        "max_capitals": "caption_capitals",
    }

    min_letters: float = 0.6  # share; letters of any script with their marks
    max_digits: float = 0.3  # share
    max_signs: float = 0.3  # share of what is neither letter nor digit
    max_capitals: float = 0.7  # share of the letters that have case; scripts without it have no capitals
    allow_markup: bool = False  # HTML tags and entities, BBCode, links, templates, percent and backslash escapes
    allow_mojibake: bool = False

    def measure(self, samples: list[Sample]) -> list[Measured]:
        captions = [judged_caption(sample) for sample in samples]
        return [Measured() if caption is None else Measured(_measure(caption)) for caption in captions]

    def judge(self, scores: Mapping[str, float]) -> str:
        return first_reason(
            (
                ("caption_has_markup", not self.allow_markup and bool(scores["caption_markup"])),
                ("caption_is_mojibake", not self.allow_mojibake and bool(scores["caption_mojibake"])),
                ("caption_has_few_letters", scores["caption_letters"] < self.min_letters),
                ("caption_has_many_digits", scores["caption_digits"] > self.max_digits),
                ("caption_has_many_signs", scores["caption_signs"] > self.max_signs),
                ("caption_is_in_capitals", scores["caption_capitals"] > self.max_capitals),
            )
        )


def _measure(caption: str) -> dict[str, float]:
    characters = [c for c in caption if not c.isspace()]
    letters, digits = sum(map(is_letter, characters)), sum(c.isdigit() for c in characters)
    upper, cased = sum(c.isupper() for c in characters), sum(c.isupper() or c.islower() for c in characters)
    count = max(len(characters), 1)
    return {
        "caption_letters": letters / count,
        "caption_digits": digits / count,
        "caption_signs": (len(characters) - letters - digits) / count,
        "caption_capitals": upper / max(cased, 1),
        "caption_markup": float(len(_MARKUP.findall(caption))),
        "caption_mojibake": float(len(_MOJIBAKE.findall(_as_bytes(caption)))),
    }


def _as_bytes(caption: str) -> str:
    """Each character as the byte that it stands for in Windows-1252; others, the replacement character among them, as they are."""
    return "".join(_BYTES.get(c, c) for c in caption)


_BYTES = {bytes([byte]).decode("cp1252", errors="ignore"): chr(byte) for byte in range(0x80, 0xA0)}
_BYTES.pop("", None)  # five bytes that Windows-1252 leaves open: they come as control characters, which are their own byte
