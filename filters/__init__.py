"""Filters: each measures samples and says, from what it measured, keep or leave out.

To add one: a file in this folder, and its line in FILTERS.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from filters.aesthetic import Aesthetic
from filters.aspect_ratio import AspectRatio
from filters.blocked_words import BlockedWords
from filters.blur import Blur
from filters.borders import Borders
from filters.caption_characters import CaptionCharacters
from filters.caption_content import CaptionContent
from filters.caption_language import CaptionLanguage
from filters.caption_text import CaptionText
from filters.clip_score import ClipScore
from filters.crop_loss import CropLoss
from filters.entropy import Entropy
from filters.evaluation_duplicates import EvaluationDuplicates
from filters.exact_duplicates import ExactDuplicates
from filters.flat_picture import FlatPicture
from filters.image_header import ImageHeaderBounds
from filters.image_size import ImageSize
from filters.key_list import KeyList
from filters.metadata_range import MetadataRange
from filters.metadata_values import MetadataValues
from filters.near_duplicates import NearDuplicates
from filters.ocr import Ocr
from filters.perceptual_duplicates import PerceptualDuplicates
from filters.robots import Robots
from filters.safety import Safety
from filters.screenshot import Screenshot
from filters.watermark import Watermark
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


class Filter(Protocol):
    """A frozen dataclass whose fields are its options in the recipe.

    Measuring and judging are apart: scores are kept in the ledger, and `mgpt refilter` judges them again with other thresholds, without a
    picture. So `measure` must not look at thresholds, and `judge` at nothing but scores. What is asked of a sample (a language, a list) is
    no threshold: a filter whose scores hang on such an option says so.

    Beside these, a filter may have:
        is_guard = True       what it rejects is too dear or too dangerous to measure further
        needs_clip = True     samples come with `embeddings` of their pictures, see filters/clip_stage.py
        needs_clip_text = True  and of their captions
        head_file             a property: a head on CLIP's vectors (filters/heads.py), which is checked, too
        compares              a property: it decides over the whole run, by
        judge_run(view)       -> the rows left out, a Ruling each
        thresholds            option -> the score that it is held against, for the report's histograms
        scales                option -> (lowest, highest) value that its score can have: a threshold off the scale is refused
        measured_by           options on which `measure` hangs, beside thresholds: when they change, a new run is wanted
        fingerprint()         of the weights and files that it measures with: a run with others is another run
        check()               raises RecipeError where weights or tables cannot be had; called before any work
        setup()               loads small tables; called once, on the worker
    """

    scores: ClassVar[tuple[str, ...]]  # the ledger columns that it fills; no other filter has them
    needs: ClassVar[Needs]

    def measure(self, samples: list[Sample]) -> list[Measured]:
        """One result per sample, in order. A function of the samples alone; their headers are there.

        Raises:
            SampleError: A sample cannot be measured.
        """
        ...

    def judge(self, scores: Mapping[str, float]) -> str:
        """Why a sample with these scores is left out, in snake_case; "" keeps it. Not asked where `measure` found nothing to judge."""
        ...


class RunFilter(Filter, Protocol):
    """A filter that compares samples over the whole run."""

    @property
    def compares(self) -> bool:
        """Whether it does, with these options."""
        ...

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        """The rows that are left out among those that are alive."""
        ...


FILTERS: dict[str, type[Filter]] = {
    "image_header": ImageHeaderBounds,
    "image_size": ImageSize,
    "aspect_ratio": AspectRatio,
    "crop_loss": CropLoss,
    "flat_picture": FlatPicture,
    "entropy": Entropy,
    "blur": Blur,
    "borders": Borders,
    "screenshot": Screenshot,
    "caption_text": CaptionText,
    "ocr": Ocr,
    "caption_characters": CaptionCharacters,
    "caption_content": CaptionContent,
    "caption_language": CaptionLanguage,
    "blocked_words": BlockedWords,
    "metadata_values": MetadataValues,
    "metadata_range": MetadataRange,
    "robots": Robots,
    "key_list": KeyList,
    "exact_duplicates": ExactDuplicates,
    "clip_score": ClipScore,
    "aesthetic": Aesthetic,
    "safety": Safety,
    "watermark": Watermark,
    "perceptual_duplicates": PerceptualDuplicates,
    "near_duplicates": NearDuplicates,
    "evaluation_duplicates": EvaluationDuplicates,
}
