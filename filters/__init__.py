"""Filters: each looks at samples and says keep or drop.

To add one: a file in this folder, and its line in FILTERS.
"""

from typing import ClassVar, Protocol

from filters.aspect_ratio import AspectRatio
from filters.caption_text import CaptionText
from filters.crop_loss import CropLoss
from filters.exact_duplicates import ExactDuplicates
from filters.flat_picture import FlatPicture
from filters.image_header import ImageHeaderBounds
from filters.image_size import ImageSize
from pipeline.samples import Sample, Verdict
from pipeline.stage import Needs


class Filter(Protocol):
    """A frozen dataclass whose fields are its options in the recipe.

    A filter that compares samples over the whole run also has `signature(sample) -> bytes | None`: of the samples that are kept to the
    end, a later one with an earlier one's signature is rejected when the run's units are put together.
    """

    scores: ClassVar[tuple[str, ...]]  # the ledger columns that it fills; no other filter has them
    needs: ClassVar[Needs]

    def setup(self) -> None:
        """Load weights. Called once, on the worker."""
        ...

    def judge(self, samples: list[Sample]) -> list[Verdict]:
        """One verdict per sample, in order. A function of the samples alone; their headers are there.

        Raises:
            SampleError: A sample cannot be judged.
        """
        ...


FILTERS: dict[str, type[Filter]] = {
    "image_header": ImageHeaderBounds,
    "image_size": ImageSize,
    "aspect_ratio": AspectRatio,
    "crop_loss": CropLoss,
    "flat_picture": FlatPicture,
    "caption_text": CaptionText,
    "exact_duplicates": ExactDuplicates,
}
