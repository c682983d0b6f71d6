"""Drop pictures with next to nothing on them: one colour, a blank scan, a black frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from PIL import ImageStat

from filters.pictures import judged_roles
from pipeline.errors import SampleError
from pipeline.images import PictureError, decode_thumbnail
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class FlatPicture:
    """Keep a sample whose pictures all vary in brightness."""

    scores: ClassVar[tuple[str, ...]] = ("luma_std",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min_luma_std": "luma_std"}
    measured_by: ClassVar[tuple[str, ...]] = ("thumbnail_side", "roles")

    min_luma_std: float = 10.0  # standard deviation of the luma, of 255
    thumbnail_side: int = 64  # pixels of the shorter side on which it is measured
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        lowest = (min((self._spread(sample, role) for role in judged_roles(sample, self.roles)), default=None) for sample in samples)
        return [Measured() if spread is None else Measured({"luma_std": spread}) for spread in lowest]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "flat_picture" if scores["luma_std"] < self.min_luma_std else ""

    def _spread(self, sample: Sample, role: str) -> float:
        try:
            thumbnail = decode_thumbnail(sample.images[role], self.thumbnail_side)
        except PictureError as error:
            raise SampleError(sample.key, error.reason, f"{role}: {error.message}") from error
        return float(ImageStat.Stat(thumbnail.convert("L")).stddev[0])
