"""Drop samples whose pictures, byte for byte, another sample of the run has, too."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.keepers import all_but_the_best, equal_groups
from pipeline.run_view import Ruling, RunView
from pipeline.samples import ImageRef, Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class ExactDuplicates:
    """Of samples with equal signatures one is kept: the best by aesthetic score, then by pixels, then by key."""

    scores: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Needs] = Needs()
    compares: ClassVar[bool] = True
    measured_by: ClassVar[tuple[str, ...]] = ("include_caption",)

    include_caption: bool = False  # the same picture with another caption is another sample

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [Measured(signature=self.signature(sample)) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return ""

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        groups = equal_groups(view.signatures("exact_duplicates"), view.alive)
        return all_but_the_best(view, groups, "duplicate")

    def signature(self, sample: Sample) -> bytes | None:
        """[32] bytes, equal for duplicates: of all pictures with their roles, and of a dialogue's turns. None where there is neither."""
        if not sample.images and not sample.turns:
            return None
        digest = hashlib.sha256()
        for part in self._parts(sample):
            digest.update(len(part).to_bytes(8, "little"))  # so that ("ab", "c") differs from ("a", "bc")
            digest.update(part)
        return digest.digest()

    def _parts(self, sample: Sample) -> Iterator[bytes]:
        for role, picture in sample.images.items():
            yield role.encode()
            yield picture
        for turn in sample.turns:
            yield turn.role.encode()
            for piece in turn.content:
                yield repr((piece.name, piece.box)).encode() if isinstance(piece, ImageRef) else b"text:" + piece.encode()
        if self.include_caption:
            yield sample.caption.encode()
