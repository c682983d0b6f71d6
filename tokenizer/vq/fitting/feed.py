"""Batches of crops, cut ahead of the step that takes them by threads of their own.

Which crops a step takes depends on the seed, the step and the crop's number alone: a resumed run takes what an undisturbed one would, and
so does a run on another number of ranks.

Shapes: B crops of a rank, 3 channels, H x W pixels in [-1, 1].
"""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import RecipeError
from tokenizer.vq.fitting.options import FitOptions
from tokenizer.vq.fitting.pictures import CropOptions, Pool, draw_crop
from tokenizer.vq.fitting.ranks import Ranks

SIZES, CROPS, KMEANS, REVIVE = range(4)  # second word of every seed: what the dice are for


class Feed:
    """Batches by step.

    Raises:
        RecipeError: A batch has fewer crops than there are ranks.
    """

    def __init__(self, options: FitOptions, pools: list[Pool], ranks: Ranks):
        self._options = options
        self._pools = pools
        self._ranks = ranks
        self._changes = CropOptions(options.swapped_colors, options.jitter)
        self._threads = ThreadPoolExecutor(options.feeders, "feed")
        self._ahead: dict[int, Future[Tensor]] = {}
        for size, name in zip(options.sizes, options.crop_sizes, strict=True):
            if options.crops_a_step(size) < ranks.size:
                raise RecipeError(f"fit.batch_pixels: holds {options.crops_a_step(size)} crops of {name}, for {ranks.size} ranks")

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)

    def batch(self, step: int) -> Tensor:
        """This rank's share of a step's crops [B, 3, H, W], on the CPU."""
        for number in range(step, min(step + self._options.feeders + 1, self._options.steps)):
            if number not in self._ahead:
                self._ahead[number] = self._threads.submit(self._draw, number, CROPS, True)
        return self._ahead.pop(step).result()

    def more(self, number: int) -> Tensor:
        """Crops that no step takes, the same on every rank: k-means begins with them."""
        return self._draw(number, KMEANS, False)

    def _draw(self, step: int, purpose: int, shared: bool) -> Tensor:
        sizes = self._options.sizes
        size = sizes[dice(self._options, SIZES, step).integers(len(sizes))]
        count = self._options.crops_a_step(size)
        numbers = self._ranks.share(count) if shared else range(count)
        crops = [draw_crop(self._pools, size, self._changes, dice(self._options, purpose, step, i)) for i in numbers]
        return to_tensor(np.stack(crops))


def dice(options: FitOptions, *words: int) -> np.random.Generator:
    """Dice of the run's seed for one purpose."""
    return np.random.default_rng((options.seed, *words))


def to_tensor(pixels_BHWC: np.ndarray) -> Tensor:
    """uint8 pictures as the network takes them."""
    return torch.from_numpy(pixels_BHWC).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1
