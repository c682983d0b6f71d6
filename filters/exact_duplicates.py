"""Drop samples whose pictures, byte for byte or pixel for pixel, another sample of the run has, too."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from filters.keepers import all_but_the_best, equal_groups
from filters.neighbours.signatures import digest, words_of
from filters.pictures import read_picture
from pipeline.images import decode_rgb
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class ExactDuplicates:
    """Of samples with equal signatures one is kept: the best by aesthetic score, then by pixels, then by key."""

    scores: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Needs] = Needs()
    compares: ClassVar[bool] = True
    measured_by: ClassVar[tuple[str, ...]] = ("by", "include_caption")

    by: Literal["bytes", "pixels"] = "bytes"  # pixels: upright RGB, whatever the file's format and metadata; every picture is decoded
    include_caption: bool = False  # the same picture with another caption is another sample

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [Measured(signature=self.signature(sample)) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return ""

    def judge_run(self, view: RunView) -> Mapping[int, Ruling]:
        groups = equal_groups(view.signatures("exact_duplicates"), view.alive)
        return all_but_the_best(view, groups, "duplicate")

    def signature(self, sample: Sample) -> bytes | None:
        """[32] bytes, equal for duplicates: of all pictures with their roles, and of a dialogue's turns. None where there is neither.

        Raises:
            SampleError: By pixels: a picture cannot be decoded.
        """
        return digest(self._parts(sample)) if sample.images or sample.turns else None

    def _parts(self, sample: Sample) -> Iterator[bytes]:
        for role, picture in sample.images.items():
            yield role.encode()
            yield picture if self.by == "bytes" else self._pixels(sample, role)
        yield from words_of(sample, self.include_caption)

    def _pixels(self, sample: Sample, role: str) -> bytes:
        image = read_picture(sample, role, decode_rgb)
        return f"{image.width} x {image.height}".encode() + image.tobytes()
