"""Drop pictures whose header tells enough: too few or too many bytes, too many pixels, several frames. Nothing is decoded."""

from dataclasses import dataclass
from typing import ClassVar

from filters.pictures import judged_roles
from pipeline.samples import Sample, Verdict
from pipeline.stage import Needs


@dataclass(frozen=True)
class ImageHeaderBounds:
    """Keep a sample whose pictures all lie within the bounds. The scores are those of the first that does not, or of the first."""

    scores: ClassVar[tuple[str, ...]] = ("num_bytes", "num_pixels", "num_frames")
    needs: ClassVar[Needs] = Needs()

    min_bytes: int = 10_000
    max_bytes: int = 50_000_000
    max_pixels: int = 64_000_000
    max_frames: int = 1  # of a picture that moves, only the first frame would be used
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def setup(self) -> None:
        pass

    def judge(self, samples: list[Sample]) -> list[Verdict]:
        return [self._judge(sample) for sample in samples]

    def _judge(self, sample: Sample) -> Verdict:
        first = Verdict(True)
        for role in judged_roles(sample, self.roles):
            header = sample.headers[role]
            num_pixels = header.width * header.height
            scores = {"num_bytes": float(header.num_bytes), "num_pixels": float(num_pixels), "num_frames": float(header.num_frames)}
            for reason, is_so in (
                ("too_few_bytes", header.num_bytes < self.min_bytes),
                ("too_many_bytes", header.num_bytes > self.max_bytes),
                ("too_many_pixels", num_pixels > self.max_pixels),
                ("too_many_frames", header.num_frames > self.max_frames),
            ):
                if is_so:
                    return Verdict(False, reason, scores)
            if not first.scores:
                first = Verdict(True, scores=scores)
        return first
