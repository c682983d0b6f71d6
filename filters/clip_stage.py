"""The step that puts CLIP's vectors beside a sample, for the filters behind it.

    clip_image          [D] float32, L2-normalised: of the main picture
    clip_image:ROLE     the same of each further plain picture (image_1, image_2, ...)
    clip_text           of the caption, where a filter wants it; dialogues have none

A picture is decoded once and prepared by open_clip's own transforms; captions pass its own tokenizer. Both run on the worker, which never
loads the weights.

Shapes: H x W pixels, D the width of an embedding, L token ids.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from filters.clip import ClipModel, Describe, Embed, Embedded
from filters.pictures import judged_roles, read_picture
from pipeline.images import decode_rgb
from pipeline.samples import Drop, Sample
from pipeline.stage import Model, Needs

CLIP_IMAGE = "clip_image"
CLIP_TEXT = "clip_text"
TRUNCATED = "caption_clip_truncated"  # a score: 1.0 where the caption is longer than the context, so that only its beginning was seen


@dataclass
class ClipStage:
    """Embed a batch's pictures and captions by one question to the model."""

    name: ClassVar[str] = "clip"

    model: ClipModel
    with_text: bool = True  # captions are embedded too: on ViT-B-32 they take 40 % of the arithmetic
    _ask: Model | None = field(default=None, init=False, repr=False, compare=False)
    _prepare: "list[Callable[[Image.Image], Image.Image]]" = field(default_factory=list, init=False, repr=False, compare=False)
    _tokenizer: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def needs(self) -> Needs:
        return Needs(batch_size=self.model.batch_size)

    def setup(self, model: Model | None) -> None:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2
        from torchvision.transforms import Normalize, ToTensor

        assert model is not None
        self._ask = model
        transform = image_transform_v2(PreprocessCfg(**model(Describe())), is_train=False)
        self._prepare = [part for part in transform.transforms if not isinstance(part, ToTensor | Normalize)]  # those are the model's
        self._tokenizer = open_clip.get_tokenizer(self.model.model)

    def __call__(self, batch: list[Sample]) -> list[Sample | Drop]:
        """
        Raises:
            SampleError: A picture cannot be decoded.
        """
        pixels = [self.pixels(sample, role) for sample in batch for role in _roles(sample)]
        vectors, is_cut = self.embed(pixels, [sample.caption for sample in batch if self._has_text(sample)])
        images, texts = iter(vectors.images_ND), zip(vectors.texts_MD, is_cut, strict=True)
        return [self._with_vectors(sample, images, texts) for sample in batch]

    def embed(self, pixels: list[np.ndarray], texts: list[str]) -> tuple[Embedded, list[bool]]:
        """Vectors of prepared pictures and of texts, and which texts were cut to the context."""
        assert self._ask is not None
        ids_ML, is_cut = self._tokens(texts)
        return self._ask(Embed(np.stack(pixels) if pixels else np.empty((0, 0, 0, 3), np.uint8), ids_ML)), is_cut

    def _with_vectors(self, sample: Sample, images: Iterator[np.ndarray], texts: Iterator[tuple[np.ndarray, bool]]) -> Sample:
        found = {embedding_name(sample, role): next(images) for role in _roles(sample)}
        scores = dict(sample.scores)
        if self._has_text(sample):
            found[CLIP_TEXT], is_cut = next(texts)
            scores[TRUNCATED] = float(is_cut)
        return replace(sample, scores=scores, embeddings={**sample.embeddings, **found})

    def _has_text(self, sample: Sample) -> bool:
        return self.with_text and bool(sample.images) and not sample.turns and bool(sample.caption.strip())

    def pixels(self, sample: Sample, role: str) -> np.ndarray:
        """A picture prepared for the model: uint8 [H, W, 3].

        Raises:
            SampleError: It cannot be decoded.
        """
        image = read_picture(sample, role, decode_rgb)
        for step in self._prepare:
            image = step(image)
        return np.asarray(image)

    def _tokens(self, captions: list[str]) -> tuple[np.ndarray, list[bool]]:
        """Token ids [M, L] int64, and which captions were cut.

        A row with room for one more token has one more padding if it was whole, and one more word if it was cut: ids are summed, because
        tokenizers put their last tokens in different places.
        """
        if not captions:
            return np.empty((0, 0), np.int64), []
        room = self._tokenizer.context_length
        ids_ML, more = (self._tokenizer([*captions, ""], context_length=length).numpy() for length in (room, room + 1))
        one_more = more.sum(1) - ids_ML.sum(1)
        return ids_ML[:-1], [bool(token != one_more[-1]) for token in one_more[:-1]]


def embedding_name(sample: Sample, role: str) -> str:
    """Under which a picture's vector stands in `Sample.embeddings`."""
    return CLIP_IMAGE if role == sample.main_role else f"{CLIP_IMAGE}:{role}"


def image_embeddings(sample: Sample) -> list[np.ndarray]:
    """[D] of every picture that is judged, the main one first."""
    return [sample.embeddings[name] for role in _roles(sample) if (name := embedding_name(sample, role)) in sample.embeddings]


def _roles(sample: Sample) -> list[str]:
    """The main picture, whatever it is, and all plain ones."""
    main = [sample.main_role] if sample.main_role else []
    return main + [role for role in judged_roles(sample, ()) if role not in main]
