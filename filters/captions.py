"""Words and letters of captions in any script."""

import re
import unicodedata

from pipeline.samples import Sample

# Scripts without spaces: each of their characters counts as a word (kana, Han, Thai, Lao, Khmer).
UNSPACED = "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e01-\u0eff\u1780-\u17ff"
_UNSPACED = re.compile(f"[{UNSPACED}]")


def judged_caption(sample: Sample) -> str | None:
    """The caption without the blanks around it; None where there is none to judge: in a dialogue, or without a picture."""
    return None if sample.turns or not sample.images else sample.caption.strip()


def is_letter(character: str) -> bool:
    """A letter of any script, or a mark that belongs to one: vowels of Hindi and Thai are marks."""
    return unicodedata.category(character)[0] in "LM"


def is_unspaced(text: str) -> bool:
    """Whether a text is in a script that puts no spaces between words."""
    return _UNSPACED.search(text) is not None


def folded_words(text: str) -> list[str]:
    """The words (runs of letters, marks and digits) in compatibility form and without case: "ＦＲＥＥ" and "Free" are one word."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c if is_letter(c) or c.isalnum() or c == "_" else " " for c in folded).split()
