"""Drop pictures with much text on them: pages, slides, advertisements. Those whose caption quotes the text are kept.

The text is found and read by PP-OCRv6 (small) as the library `rapidocr` ships it: nothing is downloaded. It reads Chinese, Japanese and
Latin script, not Cyrillic, Arabic, Korean, Thai or Devanagari: what is written in those counts only where it is taken for Latin.

Finding text is not enough: of 47 photographs without any, the detector sees some on 14, and on 8 of them over two fifths of the picture,
for it takes round things for letters. So every box is read, and what cannot be read with confidence, or is a single letter, does not count.

One core takes 0.12 s to look at a picture of 640 x 410 pixels, 0.3 s at 960 x 700, and 0.1 s more for each line of text.

Source: Emu (arXiv 2309.15807), section 3.1, which drops pictures by the number of words read on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from filters.caption_text import WORD
from filters.libraries import require
from filters.pictures import judged_roles, read_picture
from pipeline.errors import RecipeError
from pipeline.images import decode_thumbnail
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}  # in rapidocr/models
MIN_LETTERS = 2  # of a piece of text: round things are read as 0, O or 8, with a confidence of up to 1
LONG_WORD = 4  # letters from which on a word counts as quoted inside another: the model joins words, and captions write "Coca-Cola"


@dataclass(frozen=True)
class Ocr:
    """Keep a sample whose pictures have little text, or text that its caption (or its dialogue) says."""

    scores: ClassVar[tuple[str, ...]] = ("ocr_area", "ocr_words", "ocr_quoted")
    needs: ClassVar[Needs] = Needs(batch_size=8)
    thresholds: ClassVar[Mapping[str, str]] = {"max_area": "ocr_area", "max_words": "ocr_words", "min_quoted": "ocr_quoted"}
    measured_by: ClassVar[tuple[str, ...]] = ("confidence", "longest_side", "roles")
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"max_area": (0, 1), "min_quoted": (0, 1)}

    max_area: float = 0.10  # share of the picture that boxes around text cover
    max_words: int = 15  # that can be read; a line that the model joins ("SALETODAY") is one word
    keep_if_quoted: bool = True
    min_quoted: float = 0.5  # share of the words read that stand in the caption, from which on it quotes them
    confidence: float = 0.8  # from 0 to 1, with which a piece of text must be read in order to count
    longest_side: int = 960  # pixels to which larger pictures are scaled down: finer print is not read, and does not count
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def check(self) -> None:
        require("ocr", "rapidocr", "onnxruntime", extra="ocr")
        for name in MODELS.values():
            if not (_models_folder() / name).is_file():
                raise RecipeError(f'filter ocr: this version of rapidocr does not ship {name}; pip install "mgpt[ocr]"')

    def setup(self) -> None:
        """Load the models, once a process."""
        reader()

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [Measured(self._measure(sample)) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        if self.keep_if_quoted and scores.get("ocr_quoted", 0.0) >= self.min_quoted:
            return ""
        if scores["ocr_area"] > self.max_area:
            return "text_covers_picture"
        return "too_many_words_on_picture" if scores["ocr_words"] > self.max_words else ""

    def _measure(self, sample: Sample) -> dict[str, float]:
        """Of several pictures the worst. `ocr_quoted` is there only where words are."""
        said = " ".join([sample.caption, *(piece for turn in sample.turns for piece in turn.content if isinstance(piece, str))])
        scores: dict[str, float] = {}
        for role in judged_roles(sample, self.roles):
            area, text = self._read(sample, role)
            words = WORD.findall(text)
            scores["ocr_area"] = max(area, scores.get("ocr_area", 0.0))
            scores["ocr_words"] = max(float(len(words)), scores.get("ocr_words", 0.0))
            if words:
                scores["ocr_quoted"] = min(share_quoted(words, said), scores.get("ocr_quoted", 1.0))
        return scores

    def _read(self, sample: Sample, role: str) -> tuple[float, str]:
        """The share of a picture that text covers, and the text."""
        header = sample.headers[role]
        shorter, longer = sorted((header.width, header.height))
        side = max(1, round(shorter * min(1.0, self.longest_side / longer)))
        image = read_picture(sample, role, partial(decode_thumbnail, side=side))
        found = reader()(np.ascontiguousarray(np.asarray(image)[..., ::-1]))  # it wants BGR
        pieces = zip(*([] if each is None else each for each in (found.boxes, found.txts, found.scores)), strict=True)
        counted = [(box, text) for box, text, confidence in pieces if confidence >= self.confidence and _letters(text) >= MIN_LETTERS]
        covered = Image.new("1", image.size)
        for box, _ in counted:
            ImageDraw.Draw(covered).polygon([(float(x), float(y)) for x, y in box], fill=1)
        return float(np.asarray(covered).mean()), "\n".join(text for _, text in counted)


def share_quoted(words: list[str], said: str) -> float:
    """The share of words that stand in a text, whatever their case; long ones also across its blanks and hyphens."""
    spoken = {word.casefold() for word in WORD.findall(said)}
    letters = "".join(letter for letter in said.casefold() if letter.isalnum())
    stripped = [("".join(filter(str.isalnum, word.casefold())), word.casefold()) for word in words]
    return sum(word in spoken or (len(bare) >= LONG_WORD and bare in letters) for bare, word in stripped) / len(words)


def _letters(text: str) -> int:
    return sum(letter.isalnum() for letter in text)


@lru_cache(maxsize=1)
def reader() -> Any:
    """One thread, so that workers do not get into each other's way and every machine adds in the same order."""
    from rapidocr import RapidOCR

    folder = _models_folder()
    options = {
        "Global.use_cls": False,  # text upside down
        "Global.text_score": 0.0,  # it is judged above
        "Global.log_level": "error",
        "Global.max_side_len": 10_000,  # pictures come in the size in which they are read
        "Det.limit_type": "max",
        "Det.limit_side_len": 10_000,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    return RapidOCR(params=options | {f"{part}.model_path": str(folder / name) for part, name in MODELS.items()})


def _models_folder() -> Path:
    spec = find_spec("rapidocr")
    assert spec is not None and spec.origin is not None  # `check` has seen to it
    return Path(spec.origin).parent / "models"
