"""Drop pictures whose header tells enough: too few or too many bytes, too many pixels, several frames. Nothing is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.pictures import judged_roles
from filters.reasons import first_reason
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class ImageHeaderBounds:
    """Keep a sample whose pictures all lie within the bounds."""

    scores: ClassVar[tuple[str, ...]] = ("num_bytes", "most_bytes", "num_pixels", "num_frames")  # of the smallest file; of the largest ones
    needs: ClassVar[Needs] = Needs()
    is_guard: ClassVar[bool] = True  # a picture that is too large to be used is not decoded for other scores either
    thresholds: ClassVar[dict[str, str]] = {
        "min_bytes": "num_bytes",
        "max_bytes": "most_bytes",
        "max_pixels": "num_pixels",
        "max_frames": "num_frames",
    }
    measured_by: ClassVar[tuple[str, ...]] = ("roles",)

    min_bytes: int = 10_000
    max_bytes: int = 50_000_000
    max_pixels: int = 64_000_000
    max_frames: int = 1  # of a picture that moves, only the first frame would be used
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(sample) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return first_reason(
            (
                ("too_few_bytes", scores["num_bytes"] < self.min_bytes),
                ("too_many_bytes", scores["most_bytes"] > self.max_bytes),
                ("too_many_pixels", scores["num_pixels"] > self.max_pixels),
                ("too_many_frames", scores["num_frames"] > self.max_frames),
            )
        )

    def _measure(self, sample: Sample) -> Measured:
        headers = [sample.headers[role] for role in judged_roles(sample, self.roles)]
        if not headers:
            return Measured()
        sizes = [header.num_bytes for header in headers]
        pixels = max(header.width * header.height for header in headers)
        frames = max(header.num_frames for header in headers)
        return Measured(
            {"num_bytes": float(min(sizes)), "most_bytes": float(max(sizes)), "num_pixels": float(pixels), "num_frames": float(frames)}
        )
