"""Drop captions in other languages than wanted.

The language is told by py3langid, whose model for 140 languages comes with the package (4.5 MB). Measured on 192 captions of 4 to 10 words
in 19 languages: it names the right one for 97 %, and for 92 % of their first four words, at 0.13 ms a caption and 100 MB of memory. The
other library that brings its models, lingua, names 95 % and 92 %, at 0.68 ms and 1.2 GB.

Its probabilities are flat for short texts, so the threshold is low. English captions of 4 words have 0.08 and more, those of 7 to 30 words
0.72 and more; captions in the 18 other languages give English 0.05 at most, cut to 4 words or whole.

Source: Lui and Baldwin, "langid.py: An off-the-shelf language identification tool" (ACL 2012).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from filters.captions import judged_caption
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


@dataclass(frozen=True)
class CaptionLanguage:
    """Keep a sample whose caption is in one of the languages.

    The score is the probability of all wanted languages together, so it hangs on `languages`, which are what is measured and no threshold:
    after a change of them, samples must be measured again. An empty caption has no language and is kept; `caption_text` drops it.
    """

    scores: ClassVar[tuple[str, ...]] = ("caption_language_confidence",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min_confidence": "caption_language_confidence"}
    measured_by: ClassVar[tuple[str, ...]] = ("languages",)
    scales: ClassVar[dict[str, tuple[float, float]]] = {"min_confidence": (0.0, 1.0)}

    languages: tuple[str, ...] = ("en",)  # ISO 639 codes
    min_confidence: float = 0.1  # probability, 0 to 1

    def check(self) -> None:
        """
        Raises:
            RecipeError: No language is listed, or one that the model does not know.
        """
        known = set(_identifier().labels)
        if not self.languages:
            raise RecipeError("caption_language.languages: at least one is wanted")
        if unknown := sorted(set(self.languages) - known):
            raise RecipeError(f"caption_language.languages: {unknown[0]!r} is none of {', '.join(sorted(known))}")

    def setup(self) -> None:
        _identifier()

    def measure(self, samples: list[Sample]) -> list[Measured]:
        captions = [judged_caption(sample) for sample in samples]
        return [Measured({"caption_language_confidence": self._confidence(caption)}) if caption else Measured() for caption in captions]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "caption_in_another_language" if scores["caption_language_confidence"] < self.min_confidence else ""

    def _confidence(self, caption: str) -> float:
        return float(min(1.0, sum(value for language, value in _identifier().rank(caption) if language in self.languages)))


@lru_cache(maxsize=1)
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.nb_ptc = _RowsInFull(identifier.nb_ptc)
    return identifier


@dataclass(frozen=True, eq=False)
class _RowsInFull:
    """The model's table, whose rows come as long doubles.

    numpy hands a product of floats to BLAS, whose sums hang on the number of threads; one of long doubles it makes by itself. The table
    stays as it is: in long doubles it would take 230 MB.
    """

    table: np.ndarray  # [features, languages] float16

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.table[rows].astype(np.longdouble)
