"""Drop samples whose picture means what another sample's picture of the run means: the cosine of their CLIP embeddings is high.

Source: SemDeDup, Abbas et al. (arXiv 2303.09540), section 3: cells by k-means, in them pairs above a cosine, one of each kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from filters.libraries import require
from filters.neighbours.clusters import all_but_one_of_each
from filters.neighbours.embedding_pairs import near_pairs
from filters.neighbours.signatures import CONTEXT_BYTES, context, words_of
from pipeline.errors import SampleError
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

EMBEDDING = "clip_image"  # in Sample.embeddings: of the main picture


@dataclass(frozen=True)
class NearDuplicates:
    """Of samples whose embeddings are near, one is kept: the best by aesthetic score, then by pixels, then by key.

    Up to 20,000 different embeddings all pairs are found; beyond, the search is approximate (recall: neighbours/embedding_pairs.py).
    Samples with further pictures or with a dialogue are compared with those that have the same ones.
    """

    scores: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Needs] = Needs()
    needs_clip: ClassVar[bool] = True
    compares: ClassVar[bool] = True
    measured_by: ClassVar[tuple[str, ...]] = ("include_caption",)
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"min_cosine": (0.5, 1.0)}

    min_cosine: float = 0.97  # of two embeddings, from which on they mean the same
    chained: bool = True  # if A is near B and B near C, one of the three is kept; False: every one left out is near the one kept for it
    include_caption: bool = False  # the same picture with another caption is another sample

    def check(self) -> None:
        require("near_duplicates", "faiss", "scipy")

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [Measured(signature=self.signature(sample)) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return ""

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        signatures = view.signatures("near_duplicates")
        if signatures.null_count == len(signatures) and view.pixels[view.alive].any():
            raise ValueError("near_duplicates: there are pictures, and no embedding of any: samples came without embeddings")
        return all_but_one_of_each(view, "near_duplicates", self._pairs, self.chained, "near_duplicate")

    def signature(self, sample: Sample) -> bytes | None:
        """Context, and the embedding, of length 1, as float16; None for a sample without one.

        Raises:
            SampleError: The embedding has no direction.
        """
        if EMBEDDING not in sample.embeddings:
            return None
        embedding = sample.embeddings[EMBEDDING].astype(np.float32)
        length = np.linalg.norm(embedding)
        if not np.isfinite(length) or not length:
            raise SampleError(sample.key, "broken_embedding", f"its length is {length}")
        return context(self._surroundings(sample)) + (embedding / length).astype("<f2").tobytes()

    def _surroundings(self, sample: Sample) -> Iterator[bytes]:
        for role in sorted(sample.images.keys() - {sample.main_role}):
            yield role.encode()
            yield sample.images[role]
        yield from words_of(sample, self.include_caption)

    def _pairs(self, items_MW: np.ndarray) -> Iterator[np.ndarray]:
        groups_M = items_MW[:, :CONTEXT_BYTES].view(np.uint64)[:, 0]
        return near_pairs(items_MW[:, CONTEXT_BYTES:].view("<f2"), groups_M, self.min_cosine)
