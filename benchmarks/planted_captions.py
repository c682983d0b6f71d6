"""Captions that should not be trained on, by class and kind, each made from a good caption; and the blocked words that are planted."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

CaptionPlanter = Callable[[str, np.random.Generator], str]
LANGUAGES: dict[str, list[str]] = json.loads((Path(__file__).parent / "captions_by_language.json").read_text(encoding="utf-8"))
BLOCKED_WORDS = ("casino", "viagra", "escort service", "рулетка", "赌博", "कसीनो", "قمار")  # listed in the recipe of the planted set
_STOCK = ("image", "untitled", "photo of", "stock photo", "click to enlarge", "no image available", "Untitled-{n} copy", "thumbnail {n}")
_SITES = (
    "https://shop.example/item?id={n}",
    "www.gallery-{n}.example/view",
    "see more at http://pics.example/{n}",
    "photos from flickr.com no {n}",
)
_FILES = ("IMG_{n}.JPG", "DSC0{n} edited", "sunset-{n}.png", "my trip to the sea IMG_{n}", "header_{n}x400_final.webp")
_CODES = ("SKU {n}-BLK-XL", "Item no. {n}-A / 4006381333931", "B07X{n}8F5 {n}-02", "ISBN 978-3-16-{n}-0", "#{n}-GRN model {n}T")
_SHOUTS = (
    "SUMMER SALE NOW ON IN ALL OUR STORES",
    "BUY ONE GET ONE FREE THIS WEEK ONLY",
    "BREAKING NEWS FROM THE CITY COUNCIL",
    "HOT NEW OFFER FOR OUR MEMBERS",
)
_SIGNS = (
    "*** >>> 50% *** <<< 1/{n} ***",
    "{n} | {n} | 12 x 30",
    "$19.99 - $24.99 ({n})",
    "~~~~ :) :) :) {n}!!!",
    "2021-03-0{n} 12:00:00 +0100",
)
_TAGS = (
    '<img src="{n}.gif" alt="{c}">',
    "<p>{c}</p>",
    "<b>{c}</b> &amp; more",
    "{c}&nbsp;&nbsp;&#8211; {n}",
    "[url={n}]{c}[/url]",
    "{{{{caption}}}} {c}",
)
_WITH_BLOCKED = ("{w}: {c}", "{c}, {w}", "{c} ({w}!)")


def _filled(templates: tuple[str, ...]) -> CaptionPlanter:
    def plant(caption: str, rng: np.random.Generator) -> str:
        return str(rng.choice(templates)).format(n=int(rng.integers(1000, 10000)), c=caption)

    return plant


def _repeated(caption: str, rng: np.random.Generator) -> str:
    words = caption.split()[: int(rng.integers(1, 4))]
    return " ".join(words * int(rng.integers(4, 9)))


def _misread(caption: str, rng: np.random.Generator) -> str:
    """UTF-8 read as Windows-1252, as far as that has signs for its bytes."""
    foreign = [LANGUAGES[language][rng.integers(10)] for language in ("ru", "zh", "fr")]
    texts = (f"café “{caption}”", f"it\u2019s {caption}", *foreign[:2], f"à côté: {foreign[2]}")
    return str(texts[rng.integers(len(texts))]).encode().decode("cp1252", errors="replace")


def _foreign(language: str) -> CaptionPlanter:
    return lambda caption, rng: str(rng.choice(LANGUAGES[language]))


def _with_blocked_word(caption: str, rng: np.random.Generator) -> str:
    word = str(rng.choice(BLOCKED_WORDS))
    word = word.upper() if rng.random() < 0.3 else word
    return str(rng.choice(_WITH_BLOCKED)).format(c=caption, w=word)


CAPTION_PLANTERS: dict[str, dict[str, CaptionPlanter]] = {
    "junk_caption": {
        "stock words": _filled(_STOCK),
        "URL": _filled(_SITES),
        "file name": _filled(_FILES),
        "product code": _filled(_CODES),
        "capitals": _filled(_SHOUTS),
        "signs": _filled(_SIGNS),
        "markup": _filled(_TAGS),
        "repetition": _repeated,
        "mojibake": _misread,
    },
    "other_language": {language: _foreign(language) for language in LANGUAGES if language != "en"},
    "blocked_words": {"in a good caption": _with_blocked_word},
}
