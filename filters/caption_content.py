"""Drop captions that name nothing in the picture: "image", "stock photo", "Untitled-3 copy", "SKU 4471-BLK-XL".

Two counts: words that say something, which are those that are neither stock words of galleries and shops nor small words nor codes; and
the share of words that are codes. "Photo of a cat" has one that says something, and is kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.captions import folded_words, is_unspaced, judged_caption
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

# What galleries, cameras and shops write where a caption should be. Not what a picture may well show: a camera, a page, a banner.
_STOCK_TEXT = """
image images img photo photos photograph photographs photography pic pics picture pictures pix snapshot screenshot thumbnail thumb
thumbnails preview slideshow fig untitled title titled unnamed default placeholder copy copyright available unavailable missing none null
undefined nan na tbd loading click clic enlarge larger zoom view open expand full size fullsize original large medium small hd uhd 4k 8k
high low res resolution quality free stock royalty download jpg jpeg png gif webp alt text caption description sku ref asin isbn upc ean
no nr number attachment filename file_name upload uploaded new edit edited final version
bild bilder foto fotos abbildung ohne titel imagen imagenes fotografía sin título titre sans photographie immagine senza titolo imagem
фото картинка изображение фотография без названия 图片 照片 画像 写真 사진
"""
_SMALL_TEXT = """
a an and at by for from in is it my of on or our see the this that to with your der die das ein eine und von de la le un une el en et
"""
_EMPTY_WORDS = frozenset(f"{_STOCK_TEXT} {_SMALL_TEXT}".split())
# Five characters or more, three digits or more: longer than a year, a model's name or a unit. "4471-BLK-XL", "B07XJ8C8F5".
_CODE = re.compile(r"#?(?=[\w./-]{5,}$)(?=(?:.*\d){3})[A-Z\d]+(?:[-_./][A-Z\d]+)*", re.IGNORECASE)


@dataclass(frozen=True)
class CaptionContent:
    """Keep a sample whose caption says something. The lists know English best; words of other languages pass as saying something."""

    scores: ClassVar[tuple[str, ...]] = ("caption_content_words", "caption_codes")
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min_content_words": "caption_content_words", "max_codes": "caption_codes"}

    min_content_words: int = 1
    max_codes: float = 0.25  # share of the words between blanks that are product codes, serial numbers, digests

    def measure(self, samples: list[Sample]) -> list[Measured]:
        captions = [judged_caption(sample) for sample in samples]
        return [Measured() if caption is None else Measured(_measure(caption)) for caption in captions]

    def judge(self, scores: Mapping[str, float]) -> str:
        if scores["caption_codes"] > self.max_codes:
            return "caption_is_a_code"
        return "caption_says_nothing" if scores["caption_content_words"] < self.min_content_words else ""


def _measure(caption: str) -> dict[str, float]:
    pieces = [piece.strip(",;:()[]\"'!?.") for piece in caption.split()]
    pieces = [piece for piece in pieces if piece]
    codes = [piece for piece in pieces if _CODE.fullmatch(piece)]
    words = [word for piece in pieces if piece not in codes for word in folded_words(piece)]
    return {
        "caption_content_words": float(sum(map(_says_something, words))),
        "caption_codes": len(codes) / max(len(pieces), 1),
    }


def _says_something(word: str) -> bool:
    if word in _EMPTY_WORDS or not any(c.isalpha() for c in word):
        return False
    return len(word) > 1 or is_unspaced(word)
