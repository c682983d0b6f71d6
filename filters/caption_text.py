"""Drop pictures whose caption says nothing of them: too short, a URL, a file's name, the same words over and over.

Source: DataComp (arXiv 2304.14108), basic filtering: more than 2 words and more than 5 characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from filters.captions import UNSPACED, judged_caption
from filters.reasons import first_reason
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

WORD = re.compile(f"[{UNSPACED}]|[^\\W_]+(?:['\u2019-][^\\W_]+)*")
_URL = re.compile(r"https?://|www\.\w|\b[\w-]+\.(?:com|net|org|info|io|co\.uk|de|fr|ru|cn|jp)\b", re.IGNORECASE)
_FILE_NAME = re.compile(
    r"\b[\w-]+\.(?:jpe?g|png|gif|webp|bmp|tiff?|heic|psd|svg|pdf|mp4|mov|avi)\b|\b(?:IMG|DSC|DSCN|DSCF|PXL|MVI|DCIM)[_-]?\d{3,}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CaptionText:
    """Keep a sample with a usable caption. Dialogues and samples without a picture have none to judge, and are kept."""

    scores: ClassVar[tuple[str, ...]] = (
        "caption_chars",
        "caption_words",
        "caption_repetition",
        "caption_urls",
        "caption_file_names",
    )
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {
        "min_chars": "caption_chars",
        "min_words": "caption_words",
        "max_repetition": "caption_repetition",
    }

    min_chars: int = 6  # without the blanks around it
    min_words: int = 3
    max_repetition: float = 0.5  # share of the pairs of neighbouring words that were there before; it stays below
    allow_urls: bool = False
    allow_file_names: bool = False  # "sunset.jpg", "IMG_2041"

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(sample) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return first_reason(
            (
                ("no_caption", not scores["caption_chars"]),
                ("caption_too_short", scores["caption_chars"] < self.min_chars),
                ("caption_has_url", not self.allow_urls and bool(scores["caption_urls"])),
                ("caption_has_file_name", not self.allow_file_names and bool(scores["caption_file_names"])),
                ("caption_has_few_words", scores["caption_words"] < self.min_words),
                ("caption_repeats_itself", scores["caption_repetition"] >= self.max_repetition),
            )
        )

    def _measure(self, sample: Sample) -> Measured:
        caption = judged_caption(sample)
        if caption is None:
            return Measured()
        words = WORD.findall(caption.lower())
        return Measured(
            {
                "caption_chars": float(len(caption)),
                "caption_words": float(len(words)),
                "caption_repetition": _repetition(words),
                "caption_urls": float(len(_URL.findall(caption))),
                "caption_file_names": float(len(_FILE_NAME.findall(caption))),
            }
        )


def _repetition(words: list[str]) -> float:
    """The share of neighbouring pairs that were there before. Pairs, not words: a long caption repeats "the" and is none the worse."""
    pairs = list(pairwise(words))
    return 1.0 - len(set(pairs)) / len(pairs) if pairs else 0.0
