"""Drop pictures of which bars or a frame of one colour take a good part.

A bar is not a plain background: where a bar ends, the picture begins along a straight line. A moon on a black sky, or a product on white,
has lines of one colour at its edges too, but there the first line behind them holds a tip of the thing, and for the rest goes on as before.
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
NOISE = 32  # of 255, in any channel: what JPEG at quality 60 does to the edge of a coloured bar
MAX_DRIFT = 3  # of 255: how far the luma of a bar may go, away from its edge; that of a sky or of fog goes farther
MAX_STRAY = 0.02  # share of a bar's line that may differ by more: ringing, a small logo
MIN_BEGINNING = 0.5  # share of the line along which the picture must set itself off where the bar ends
LUMA = np.array([0.299, 0.587, 0.114])  # of R, G and B
DEPTH = 2  # lines behind the bar within which it does: the first one may be a mixture of both


@dataclass(frozen=True)
class Borders:
    """Keep a sample whose pictures all fill their frame."""

    scores: ClassVar[tuple[str, ...]] = ("border_share",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"max_share": "border_share"}
    measured_by: ClassVar[tuple[str, ...]] = ("roles",)

    max_share: float = 0.25  # of the area, for all bars together
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        found = [max(map(border_share, decoded(sample, self.roles, _decode)), default=None) for sample in samples]
        return [one_score("border_share", value) for value in found]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "borders" if scores["border_share"] > self.max_share else ""


def border_share(image: Image.Image) -> float:
    """The share of the area that bars of one colour at the edges take; 1 where the whole picture is of one colour."""
    pixels_HWC = np.asarray(image).astype(np.int16)
    height, width = pixels_HWC.shape[:2]
    if _bar(pixels_HWC) == height:
        return 1.0
    inner = pixels_HWC
    while True:  # a frame's upper bar may show its end only after the bars left and right are taken away, and the other way round
        before = inner.shape
        for turns in range(4):
            inner = np.rot90(_without_bar(np.rot90(inner, turns)), -turns)
        if inner.shape == before:
            return 1.0 - inner.shape[0] * inner.shape[1] / (height * width)


def _without_bar(pixels_HWC: np.ndarray) -> np.ndarray:
    """Take away the bar at the top, if there is one that ends in a straight line."""
    end = _bar(pixels_HWC)
    if not 0 < end < len(pixels_HWC):
        return pixels_HWC
    colour = np.median(pixels_HWC[0], 0)
    behind = (abs(pixels_HWC[end : end + DEPTH] - colour) > NOISE).any(2)
    bars = _bar(np.rot90(pixels_HWC, 1)), _bar(np.rot90(pixels_HWC, 3))  # in a frame, they do not end here
    body = behind.any(0)[bars[1] : behind.shape[1] - bars[0]]
    return pixels_HWC[end:] if body.size and body.mean() >= MIN_BEGINNING else pixels_HWC


def _bar(pixels_HWC: np.ndarray) -> int:
    """How many lines at the top have the first line's colour."""
    colour = np.median(pixels_HWC[0], 0)
    strays = (abs(pixels_HWC - colour) > NOISE).any(2).mean(1)
    differs = np.flatnonzero(strays > MAX_STRAY)
    end = int(differs[0]) if len(differs) else len(pixels_HWC)
    inner = pixels_HWC[: max(1, 3 * end // 4)]  # without the last lines, into which JPEG carries the picture's colours
    return end if (abs((inner - colour) @ LUMA) > MAX_DRIFT).mean() <= MAX_STRAY else 0


def _decode(data: bytes) -> Image.Image:
    return decode_thumbnail(data, SIDE)
