"""Drop pictures that are too small for the crops that they would be cut to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.pictures import worst
from pipeline.buckets import cover_scale, fit_bucket, make_buckets
from pipeline.samples import ImageHeader, Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class ImageSize:
    """Keep a sample none of whose pictures has too short a side, or would be enlarged too much to cover its bucket."""

    scores: ClassVar[tuple[str, ...]] = ("min_side", "upscale")
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min_side": "min_side", "max_upscale": "upscale"}
    measured_by: ClassVar[tuple[str, ...]] = ("target_size", "smaller_targets", "roles")

    target_size: int  # pixels, of the square bucket; a recipe that leaves it out means its [tokens] target_size
    smaller_targets: tuple[int, ...] = ()  # likewise its [tokens] smaller_targets
    min_side: int = 0  # pixels, of the shorter side
    max_upscale: float = 1.33  # factor by which a picture may be enlarged to cover its bucket
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def __post_init__(self) -> None:
        for target in (self.target_size, *self.smaller_targets):
            make_buckets(target)  # refuses a size that has none

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(sample) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        if scores["min_side"] < self.min_side:
            return "side_too_short"
        return "upscaled_too_much" if scores["upscale"] > self.max_upscale else ""

    def _measure(self, sample: Sample) -> Measured:
        side = worst(sample, self.roles, lambda h: min(h.width, h.height), min)
        upscale = worst(sample, self.roles, self._upscale, max)
        return Measured() if side is None or upscale is None else Measured({"min_side": float(side), "upscale": upscale})

    def _upscale(self, header: ImageHeader) -> float:
        bucket = fit_bucket(header.width, header.height, self.target_size, self.smaller_targets)
        return cover_scale(header.width, header.height, bucket)
