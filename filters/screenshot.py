"""Drop what was drawn by a computer to be read: screenshots, pages of text, tables.

Three signs, each measured at the picture's own pixels, for scaling wipes them out:

    flat       share of pixels whose runs of equal luma, across and down, are both at least 16 pixels long (two blocks of a JPEG)
    edges      share of pixels at a strong edge
    upright    share of those at which the edge runs straight across or straight down

Each counts in full from a value on that nearly all screens reach, and the weakest decides: a photograph of the moon is flat, but has few
edges; a brick wall has upright edges, but is not flat; drawn art is flat, but its edges go where they like.

Measured on 92 photographs: 0.39 at most. On 108 drawn screens (PNG, and JPEG at quality 92 and 75): 0.62 at least. Screens that were scaled
down or that are mostly a photograph are missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from filters.pictures import decoded, one_score
from pipeline.images import decode_rgb
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

RUN = 16  # pixels
STRONG = 64.0  # length of the gradient by central differences of the luma, of 255
UPRIGHT = 0.1  # the smaller component of an upright gradient, at most, as a part of the larger
FULL_FLAT, FULL_EDGES, FULL_UPRIGHT = 0.5, 0.05, 0.5  # shares from which on a sign counts in full
MAX_PIXELS = 1024 * 1024  # of larger pictures a sample of this many pixels is looked at:
WINDOWS, WINDOW = 4, 256  # as many windows along each side, of as many pixels


@dataclass(frozen=True)
class Screenshot:
    """Keep a sample none of whose pictures looks like a screen or a page."""

    scores: ClassVar[tuple[str, ...]] = ("screenshot_likeness",)
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"max_likeness": "screenshot_likeness"}
    measured_by: ClassVar[tuple[str, ...]] = ("roles",)
    scales: ClassVar[dict[str, tuple[float, float]]] = {"max_likeness": (0.0, 1.0)}

    max_likeness: float = 0.5  # 0 to 1
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    def measure(self, samples: list[Sample]) -> list[Measured]:
        found = [max(map(screenshot_likeness, decoded(sample, self.roles, decode_rgb)), default=None) for sample in samples]
        return [one_score("screenshot_likeness", value) for value in found]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "screenshot" if scores["screenshot_likeness"] > self.max_likeness else ""


def screenshot_likeness(image: Image.Image) -> float:
    """How much of a screenshot is in a picture, 0 to 1: its weakest sign."""
    signs = np.array([_signs(window) for window in _windows(np.asarray(image.convert("L")).astype(np.float32))])
    pixels, flat, edges, upright = signs.sum(0)
    if not edges:
        return 0.0
    return float(min(1.0, flat / pixels / FULL_FLAT, edges / pixels / FULL_EDGES, upright / edges / FULL_UPRIGHT))


def _signs(luma_HW: np.ndarray) -> tuple[int, int, int, int]:
    """Counts of pixels: all, flat ones, at a strong edge, at an upright one."""
    across, down = luma_HW[1:-1, 2:] - luma_HW[1:-1, :-2], luma_HW[2:, 1:-1] - luma_HW[:-2, 1:-1]
    strong = np.hypot(across, down) >= STRONG
    across, down = abs(across[strong]), abs(down[strong])
    upright = np.minimum(across, down) < UPRIGHT * np.maximum(across, down)
    flat = _in_runs(luma_HW) & _in_runs(luma_HW.T).T
    return luma_HW.size, int(flat.sum()), int(strong.sum()), int(upright.sum())


def _in_runs(luma_HW: np.ndarray) -> np.ndarray:
    """[H, W] bool: pixels in a run of at least RUN equal ones along their row."""
    height, width = luma_HW.shape
    starts = np.ones((height, width), bool)
    starts[:, 1:] = luma_HW[:, 1:] != luma_HW[:, :-1]
    number = np.cumsum(starts.ravel()) - 1
    is_long: np.ndarray = np.bincount(number) >= RUN
    return is_long[number].reshape(height, width)


def _windows(luma_HW: np.ndarray) -> list[np.ndarray]:
    """The picture, or windows evenly over one that is large."""
    if luma_HW.size <= MAX_PIXELS:
        return [luma_HW]
    tops, lefts = (np.linspace(0, max(0, side - WINDOW), WINDOWS).astype(int) for side in luma_HW.shape)
    return [luma_HW[top : top + WINDOW, left : left + WINDOW] for top in tops for left in lefts]
