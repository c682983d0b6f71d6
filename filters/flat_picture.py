"""Drop pictures with next to nothing on them: one colour, a blank scan, a black frame."""

from dataclasses import dataclass
from typing import ClassVar

from PIL import ImageStat

from filters.pictures import judged_roles
from pipeline.errors import SampleError
from pipeline.images import PictureError, decode_thumbnail
from pipeline.samples import Sample, Verdict
from pipeline.stage import Needs


@dataclass(frozen=True)
class FlatPicture:
    """Keep a sample whose pictures all vary in brightness."""

    scores: ClassVar[tuple[str, ...]] = ("luma_std",)
    needs: ClassVar[Needs] = Needs()

    min_luma_std: float = 10.0  # standard deviation of the luma, of 255
    thumbnail_side: int = 64  # pixels of the shorter side on which it is measured
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def setup(self) -> None:
        pass

    def judge(self, samples: list[Sample]) -> list[Verdict]:
        return [self._judge(sample) for sample in samples]

    def _judge(self, sample: Sample) -> Verdict:
        lowest = min((self._measure(sample, role) for role in judged_roles(sample, self.roles)), default=None)
        if lowest is None:
            return Verdict(True)
        scores = {"luma_std": lowest}
        return Verdict(False, "flat_picture", scores) if lowest < self.min_luma_std else Verdict(True, scores=scores)

    def _measure(self, sample: Sample, role: str) -> float:
        try:
            thumbnail = decode_thumbnail(sample.images[role], self.thumbnail_side)
        except PictureError as error:
            raise SampleError(sample.key, error.reason, f"{role}: {error.message}") from error
        return float(ImageStat.Stat(thumbnail.convert("L")).stddev[0])
