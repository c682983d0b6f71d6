"""Keep or drop by a column of numbers that came with the data: LAION's punsafe, pwatermark, similarity, AESTHETIC_SCORE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from filters.metadata import number
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class MetadataRange:
    """Keep a sample whose column lies between the bounds, which belong to it. The score is the number itself: bounds can be moved later."""

    scores: ClassVar[tuple[str, ...]] = ("metadata_number_known", "metadata_number")
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[dict[str, str]] = {"min": "metadata_number", "max": "metadata_number"}
    measured_by: ClassVar[tuple[str, ...]] = ("column",)

    column: str  # for example "pwatermark"
    min: float | None = None
    max: float | None = None
    missing: Literal["keep", "drop"] = "keep"  # where the column is not there, or holds no number

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise ValueError("wants `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is {self.min:g} and max is {self.max:g}: nothing lies between")

    def measure(self, samples: list[Sample]) -> list[Measured]:
        found = [number(sample, self.column) for sample in samples]
        return [
            Measured({"metadata_number_known": 0.0} if value is None else {"metadata_number_known": 1.0, "metadata_number": value})
            for value in found
        ]

    def judge(self, scores: Mapping[str, float]) -> str:
        if not scores["metadata_number_known"]:
            return "metadata_number_missing" if self.missing == "drop" else ""
        value = scores["metadata_number"]
        if self.min is not None and value < self.min:
            return "metadata_number_too_low"
        return "metadata_number_too_high" if self.max is not None and value > self.max else ""
