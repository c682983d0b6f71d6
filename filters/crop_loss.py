"""Drop pictures of which the crop to their bucket would cut away too much."""

from dataclasses import dataclass
from typing import ClassVar

from filters.pictures import worst
from pipeline.buckets import fit_bucket, kept_fraction, make_buckets
from pipeline.samples import ImageHeader, Sample, Verdict
from pipeline.stage import Needs


@dataclass(frozen=True)
class CropLoss:
    """Keep a sample whose pictures all lose little."""

    scores: ClassVar[tuple[str, ...]] = ("crop_loss",)
    needs: ClassVar[Needs] = Needs()

    target_size: int  # pixels, of the square bucket; a recipe that leaves it out means its [tokens] target_size
    smaller_targets: tuple[int, ...] = ()  # likewise its [tokens] smaller_targets
    max_crop_loss: float = 0.15  # of the picture's area
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def __post_init__(self) -> None:
        for target in (self.target_size, *self.smaller_targets):
            make_buckets(target)  # refuses a size that has none

    def setup(self) -> None:
        pass

    def judge(self, samples: list[Sample]) -> list[Verdict]:
        return [self._judge(sample) for sample in samples]

    def _judge(self, sample: Sample) -> Verdict:
        loss = worst(sample, self.roles, self._loss, max)
        if loss is None:
            return Verdict(True)
        scores = {"crop_loss": loss}
        return Verdict(False, "crop_loss_too_high", scores) if loss > self.max_crop_loss else Verdict(True, scores=scores)

    def _loss(self, header: ImageHeader) -> float:
        bucket = fit_bucket(header.width, header.height, self.target_size, self.smaller_targets)
        return 1.0 - kept_fraction(header.width, header.height, bucket)
