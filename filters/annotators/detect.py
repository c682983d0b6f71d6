"""Boxes of what a caption speaks of, and of further things by name, by a detector that runs here: GroundingDINO, OWL-ViT, OWLv2."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from filters.annotators.detect_model import DetectModelSpec
from filters.annotators.held_answers import HeldAnswers, Outcome
from filters.annotators.map_making import ask_shown, has_photo, made_by, refuse_sizes
from filters.annotators.network import Refused
from filters.annotators.overlaps import Found, choose
from filters.annotators.phrases import words
from filters.annotators.search import DetectAnswer, DetectRequest, Phrases, Search
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Sample
from pipeline.stage import Model, Needs


@dataclass(frozen=True)
class DetectPhrases:
    """Add detections in the main picture: boxes with the phrases of the original caption that they show, and where those stand in it.

    What shares a batch moves floating point sums in their last bit. Which samples do is a function of the input alone, so that a run can be
    repeated to the byte.
    """

    needs: ClassVar[Needs] = Needs()

    model: str  # a folder with config, weights and processor, or a name on the Hugging Face hub
    revision: str = ""  # of a name: branch, tag or commit; empty takes the newest
    name: str = "detect"  # by which two detectors of a recipe are told apart, also in the metadata
    phrases: Phrases = "auto"  # grounded: the model reads the caption; chunks: what stands between its function words; auto: by the model
    labels: tuple[str, ...] = ()  # looked for in every picture, whatever its caption says
    box_threshold: float = 0.35  # a box counts above this confidence
    text_threshold: float = 0.25  # of models that read a text: a token belongs to a box's phrase above this score
    max_overlap: float = 0.7  # intersection over union of two boxes of one phrase; above it only the more confident one counts
    max_detections: int = 32  # of a sample, the most confident ones
    max_phrases: int = 32  # of a caption that is split into chunks, the first ones
    max_side: int = 1333  # pixels of the longer side of what the model is shown; its processor may shrink it further
    batch_size: int = 8  # texts and pictures that are asked at once
    existing: Literal["keep", "add", "replace"] = "keep"  # a sample that brings detections: left alone, given more, or new ones
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # half precision moves boxes by pixels
    device: str = "auto"  # auto: the first GPU, or the CPU
    _model: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_sizes(self.max_detections, self.max_phrases, self.max_side, self.batch_size)
        if not self.name:
            raise ValueError("name is under what the model is written down, and is empty")
        if not all(0 <= value <= 1 for value in (self.box_threshold, self.text_threshold, self.max_overlap)):
            raise ValueError("thresholds and max_overlap are in [0, 1]")
        for label in self.labels:
            if not words(label) or label != label.strip() or any(sign in label for sign in ".?\n"):
                raise ValueError(f"labels: {label!r} is no phrase: words without a full stop, a question mark or space around them are")
        if len({label.lower() for label in self.labels}) < len(self.labels):
            raise ValueError("labels: one stands there twice")
        if self.phrases == "none" and not self.labels:
            raise ValueError('phrases = "none" and no labels: there is nothing to look for')

    @property
    def asks(self) -> DetectModelSpec:
        return DetectModelSpec(self.model, self.revision, self.precision, self.device)

    def check(self) -> None:
        """
        Raises:
            RecipeError: The model cannot be asked in this way.
        """
        if not self.asks.reads_captions() and self.phrases == "grounded":
            raise RecipeError(f'annotator detect: {self.model} takes a list of phrases: it cannot ground a caption; set phrases = "chunks"')

    def setup(self, model: Model | None) -> None:
        assert model is not None
        self._model[:] = [model]

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        return self._held.annotate(samples, self._is_searched, self._outcomes)

    def _outcomes(self, samples: list[Sample]) -> list[Outcome]:
        answers = ask_shown(samples, "detect", self._ask, self.max_side)
        return [
            answer if isinstance(answer, SampleError) else self._with_detections(sample, *answer)
            for sample, answer in zip(samples, answers, strict=True)
        ]

    def _ask(self, samples: list[Sample], pictures: list[np.ndarray]) -> list[tuple[list[Found], str] | Refused]:
        search = Search(self.phrases, self.labels, self.max_phrases, self.box_threshold, self.text_threshold, self.batch_size)
        [model] = self._model
        answer: DetectAnswer = model(DetectRequest(pictures, [sample.caption for sample in samples], search))
        return [found if isinstance(found, Refused) else (found, answer.commit) for found in answer.found]

    def _with_detections(self, sample: Sample, found: list[Found], commit: str) -> Sample:
        chosen = choose(found, sample.caption, max_overlap=self.max_overlap, max_detections=self.max_detections)
        before = sample.detections if self.existing == "add" else ()
        source = {f"{self.name}_model": made_by(self.model, commit)} if chosen else {}
        return replace(sample, detections=(*before, *chosen), metadata={**sample.metadata, **source})

    def _is_searched(self, sample: Sample) -> bool:
        is_open = not sample.detections or self.existing != "keep"
        return is_open and has_photo(sample) and bool(self.labels or words(sample.caption))
