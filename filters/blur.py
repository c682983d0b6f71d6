"""Drop pictures that are out of focus, shaken or blown up from few pixels: nothing on them is sharp.

The variance of the Laplacian depends on the size at which it is taken, so it is taken at one size. And not over the whole picture: a bird
before a soft ground is soft on most of its area, and a good photograph. It is taken tile by tile, and the sharpest tiles decide.

It depends on contrast, too: gravel that is out of focus has more of it than a sharp picture of a storm. So there is a second measure, in
which contrast cancels: how many times less it becomes when the picture is blurred once more. What is sharp loses most of it, what is
blurred already loses little.

Measured on 91 photographs at 640 pixels, and the same blurred by a Gaussian of sigma 2. Variance below 50: over the whole picture it finds
all of the blurred and loses 4 photographs; in the sharpest tiles it finds 90 and loses 1, a lake in fog. Crispness below 2.4 finds the
other one and loses none: the blurred have 2.03 at most, the photographs 2.66 at least.

Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (ICPR 2000), for the variance of the Laplacian; Crete et al.,
"The blur effect" (SPIE 6492, 2007), for blurring once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image, ImageFilter

from filters.pictures import decoded
from pipeline.images import decode_thumbnail
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

SIDE = 512  # pixels of the shorter side; a smaller picture is taken as it is, for enlarging would make it soft
TILES = 8  # along the shorter side
SHARPEST = 0.95  # the quantile over the tiles
MAX_CRISPNESS = 100.0  # what has nothing left after blurring, and what was flat before


@dataclass(frozen=True)
class Blur:
    """Keep a sample whose pictures are all sharp somewhere."""

    scores: ClassVar[tuple[str, ...]] = ("blur", "blur_crispness")  # both: the lower, the more blurred
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min_variance": "blur", "min_crispness": "blur_crispness"}
    measured_by: ClassVar[tuple[str, ...]] = ("roles",)

    min_variance: float = 50.0  # of the Laplacian of the luma (of 255), in the sharpest twentieth of the tiles
    min_crispness: float = 2.4  # that variance as a multiple of what it is after a 3 x 3 box filter
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(sample) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "blurred" if scores["blur"] < self.min_variance or scores["blur_crispness"] < self.min_crispness else ""

    def _measure(self, sample: Sample) -> Measured:
        found = [(laplacian_variance(image), crispness(image)) for image in decoded(sample, self.roles, _decode)]
        if not found:
            return Measured()
        variances, crispnesses = zip(*found, strict=True)
        return Measured({"blur": min(variances), "blur_crispness": min(crispnesses)})


def laplacian_variance(image: Image.Image) -> float:
    """The variance of the Laplacian (4 neighbours) of the luma in the sharpest tiles; 0 where a side has fewer than 3 pixels."""
    luma = np.asarray(image.convert("L"), np.float32)
    laplacian = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    if not laplacian.size:
        return 0.0
    side = max(1, min(laplacian.shape) // TILES)
    rows, columns = laplacian.shape[0] // side, laplacian.shape[1] // side
    tiles = laplacian[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return float(np.quantile(tiles.var((1, 3), dtype=np.float64), SHARPEST))


def crispness(image: Image.Image) -> float:
    """How many times the variance falls when the picture is blurred once more, at most MAX_CRISPNESS."""
    after = laplacian_variance(image.convert("L").filter(ImageFilter.BoxBlur(1)))
    return min(MAX_CRISPNESS, laplacian_variance(image) / after) if after else MAX_CRISPNESS


def _decode(data: bytes) -> Image.Image:
    return decode_thumbnail(data, SIDE)
