"""Drop samples whose pictures, byte for byte, an earlier sample of the run has already."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pipeline.samples import ImageRef, Sample, Verdict
from pipeline.stage import Needs


@dataclass(frozen=True)
class ExactDuplicates:
    """Of samples with equal signatures the first is kept. One sample alone is never a duplicate: `judge` keeps all of them."""

    scores: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Needs] = Needs()

    include_caption: bool = False  # the same picture with another caption is another sample

    def setup(self) -> None:
        pass

    def judge(self, samples: list[Sample]) -> list[Verdict]:
        return [Verdict(True) for _ in samples]

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
