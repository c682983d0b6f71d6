"""The step behind the captioners that gives every generated caption its CLIP score, so that the best can be told from the wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from filters.clip_stage import ClipStage
from pipeline.samples import Drop, Sample
from pipeline.stage import Model, ModelSpec, Needs


@dataclass
class CaptionScores:
    """Score generated captions against the main picture, by the run's own CLIP; captions that are not used have no score."""

    name: ClassVar[str] = "caption_scores"

    clip: ClipStage

    @property
    def needs(self) -> Needs:
        return self.clip.needs

    @property
    def model(self) -> ModelSpec:
        return self.clip.model

    def setup(self, model: Model | None) -> None:
        self.clip.setup(model)

    def __call__(self, batch: list[Sample]) -> list[Sample | Drop]:
        """
        Raises:
            SampleError: A picture cannot be decoded.
        """
        shown = [sample for sample in batch if sample.main_role and any(not caption.flaw for caption in sample.captions)]
        pixels = [self.clip.pixels(sample, sample.main_role or "") for sample in shown]
        texts = [caption.text for sample in shown for caption in sample.captions if not caption.flaw]
        vectors, _ = self.clip.embed(pixels, texts)
        image_of = {sample.key: image_D for sample, image_D in zip(shown, vectors.images_ND, strict=True)}
        text_vectors = iter(vectors.texts_MD)
        return [self._scored(sample, image_of[sample.key], text_vectors) if sample.key in image_of else sample for sample in batch]

    @staticmethod
    def _scored(sample: Sample, image_D: np.ndarray, texts: Iterator[np.ndarray]) -> Sample:
        captions = tuple(
            caption if caption.flaw else replace(caption, clip_score=cosine(image_D, next(texts))) for caption in sample.captions
        )
        return replace(sample, captions=captions)


def cosine(one_D: np.ndarray, other_D: np.ndarray) -> float:
    """Of two vectors of length 1."""
    return float(np.float32((one_D.astype(np.float64) * other_D.astype(np.float64)).sum()))
