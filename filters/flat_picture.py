"""Drop pictures with next to nothing on them: one colour, a blank scan, a black frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image, ImageStat

from filters.pictures import decoded, one_score
from pipeline.images import decode_thumbnail
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class FlatPicture:
    """Keep a sample whose pictures all vary in brightness."""

    scores: ClassVar[tuple[str, ...]] = ("luma_std",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min_luma_std": "luma_std"}
    measured_by: ClassVar[tuple[str, ...]] = ("thumbnail_side", "roles")

    min_luma_std: float = 9.0  # standard deviation of the luma, of 255
    thumbnail_side: int = 64  # pixels of the shorter side on which it is measured
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        lowest = [min(map(luma_std, decoded(sample, self.roles, self._thumbnail)), default=None) for sample in samples]
        return [one_score("luma_std", spread) for spread in lowest]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "flat_picture" if scores["luma_std"] < self.min_luma_std else ""

    def _thumbnail(self, data: bytes) -> Image.Image:
        return decode_thumbnail(data, self.thumbnail_side)


def luma_std(image: Image.Image) -> float:
    """The standard deviation of the luma, of 255."""
    return float(ImageStat.Stat(image.convert("L")).stddev[0])
