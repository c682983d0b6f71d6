"""Drop pictures of which the crop to their bucket would cut away too much."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from filters.pictures import one_score, worst
from pipeline.buckets import fit_bucket, kept_fraction, make_buckets
from pipeline.samples import ImageHeader, Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class CropLoss:
    """Keep a sample whose pictures all lose little."""

    scores: ClassVar[tuple[str, ...]] = ("crop_loss",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"max_crop_loss": "crop_loss"}
    measured_by: ClassVar[tuple[str, ...]] = ("target_size", "smaller_targets", "roles")

    target_size: int  # pixels, of the square bucket; a recipe that leaves it out means its [tokens] target_size
    smaller_targets: tuple[int, ...] = ()  # likewise its [tokens] smaller_targets
    max_crop_loss: float = 0.15  # of the picture's area
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def __post_init__(self) -> None:
        for target in (self.target_size, *self.smaller_targets):
            make_buckets(target)  # refuses a size that has none

    def measure(self, samples: list[Sample]) -> list[Measured]:
        losses = (worst(sample, self.roles, self._loss, max) for sample in samples)
        return [one_score("crop_loss", loss) for loss in losses]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "crop_loss_too_high" if scores["crop_loss"] > self.max_crop_loss else ""

    def _loss(self, header: ImageHeader) -> float:
        bucket = fit_bucket(header.width, header.height, self.target_size, self.smaller_targets)
        return 1.0 - kept_fraction(header.width, header.height, bucket)
