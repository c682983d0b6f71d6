"""Drop pictures of few brightnesses: a nearly solid ground, a poster, a diagram.

Source: Shannon, "A mathematical theory of communication" (1948), section 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from filters.pictures import decoded, one_score
from pipeline.images import decode_thumbnail
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

SIDE = 256  # pixels of the shorter side on which it is measured


@dataclass(frozen=True)
class Entropy:
    """Keep a sample whose pictures all hold many brightnesses."""

    scores: ClassVar[tuple[str, ...]] = ("luma_entropy",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min_bits": "luma_entropy"}
    measured_by: ClassVar[tuple[str, ...]] = ("roles",)

    min_bits: float = 2.0  # what a pixel says, 0 to 8
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        found = [min(map(luma_entropy, decoded(sample, self.roles, _decode)), default=None) for sample in samples]
        return [one_score("luma_entropy", value) for value in found]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "low_entropy" if scores["luma_entropy"] < self.min_bits else ""


def luma_entropy(image: Image.Image) -> float:
    """Shannon entropy of the luma's histogram of 256 values, in bits, 0 to 8."""
    counts = np.array(image.convert("L").histogram(), np.float64)
    shares = counts[counts > 0] / counts.sum()
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def _decode(data: bytes) -> Image.Image:
    return decode_thumbnail(data, SIDE)
