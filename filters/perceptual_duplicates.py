"""Drop samples that show what another sample of the run shows, scaled, compressed again or in another format."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from filters.libraries import require
from filters.neighbours.clusters import all_but_one_of_each
from filters.neighbours.hash_pairs import MAX_DISTANCE, near_pairs
from filters.neighbours.picture_hash import picture_hash
from filters.neighbours.signatures import CONTEXT_BYTES, context, words_of
from filters.pictures import read_picture
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class PerceptualDuplicates:
    """Of samples whose perceptual hashes (64 bits) are near, one is kept: the best by aesthetic score, then by pixels, then by key.

    All pairs of the run within the bound are found. All pictures of a sample are compared, role by role, and its dialogue must be equal: an
    edit of the same picture, or another question about it, is another sample. One with a picture of which there is next to nothing to see
    (one colour, a gradient) is compared with none: such hashes are all alike, and blank pictures would take each other out;
    `exact_duplicates` and `flat_picture` look after those. Small things at the same place of a blank page are alike to this hash.
    """

    scores: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Needs] = Needs()
    compares: ClassVar[bool] = True
    measured_by: ClassVar[tuple[str, ...]] = ("include_caption",)
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"max_distance": (0, MAX_DISTANCE)}

    max_distance: int = 4  # bits of 64 in which two hashes may differ
    mirrored: bool = False  # a picture and its mirror image, left for right, show the same
    chained: bool = True  # if A is near B and B near C, one of the three is kept; False: every one left out is near the one kept for it
    include_caption: bool = False  # the same picture with another caption is another sample

    def check(self) -> None:
        require("perceptual_duplicates", "imagehash", "scipy")

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [Measured(signature=self.signature(sample)) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return ""

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        return all_but_one_of_each(view, "perceptual_duplicates", self._pairs, self.chained, "perceptual_duplicate")

    def signature(self, sample: Sample) -> bytes | None:
        """Context, the hashes of all pictures sorted by role, and those of their mirror images; None where a picture has no hash.

        The mirror images are always there, so that `mirrored` can be moved later.

        Raises:
            SampleError: A picture cannot be decoded.
        """
        hashes = []
        for role in sorted(sample.images):
            hashes.append(read_picture(sample, role, picture_hash))
        found = [each for each in hashes if each]
        if not found or len(found) < len(hashes):
            return None
        surroundings = context([*(role.encode() for role in sorted(sample.images)), *words_of(sample, self.include_caption)])
        return b"".join([surroundings, *(straight for straight, _ in found), *(mirrored for _, mirrored in found)])

    def _pairs(self, items_MW: np.ndarray) -> Iterator[np.ndarray]:
        groups_M = items_MW[:, :CONTEXT_BYTES].view(np.uint64)[:, 0]
        straight, mirrored = np.split(items_MW[:, CONTEXT_BYTES:].view(np.uint64), 2, axis=1)
        if not self.mirrored:
            yield from near_pairs(straight, groups_M, self.max_distance)
            return
        for pairs in near_pairs(np.concatenate([straight, mirrored]), np.tile(groups_M, 2), self.max_distance):
            yield pairs % len(items_MW)  # one that is near its own mirror image is a pair with itself, which says nothing
