"""Keep or drop by a column of words that came with the data: a licence, LAION's NSFW verdict, a language."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from filters.metadata import column
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class MetadataValues:
    """Keep a sample whose column says one of `keep` and none of `drop`. A list in the column says all that is in it.

    Values are compared as text, without case. The score says whether the value is allowed, so it hangs on the lists, which are what is
    measured and no thresholds: after a change of them, samples must be measured again.
    """

    scores: ClassVar[tuple[str, ...]] = ("metadata_value_known", "metadata_value_allowed")
    needs: ClassVar[Needs] = Needs()
    measured_by: ClassVar[tuple[str, ...]] = ("column", "keep", "drop")

    column: str  # for example "LICENSE" or "NSFW"
    keep: tuple[str | int | bool, ...] = ()  # empty: all that `drop` does not name
    drop: tuple[str | int | bool, ...] = ()
    missing: Literal["keep", "drop"] = "keep"  # where the column is not there, or empty

    def __post_init__(self) -> None:
        if not self.keep and not self.drop:
            raise ValueError("wants values to `keep` or to `drop`")

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(column(sample, self.column)) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        if not scores["metadata_value_known"]:
            return "metadata_value_missing" if self.missing == "drop" else ""
        return "" if scores["metadata_value_allowed"] else "metadata_value_not_allowed"

    def _measure(self, value: Any) -> Measured:
        if value is None:
            return Measured({"metadata_value_known": 0.0})
        found = {_text(each) for each in (value if isinstance(value, list | tuple) else [value])}
        keep, drop = {_text(each) for each in self.keep}, {_text(each) for each in self.drop}
        allowed = (not keep or bool(found & keep)) and not found & drop
        return Measured({"metadata_value_known": 1.0, "metadata_value_allowed": float(allowed)})


def _text(value: Any) -> str:
    return str(value).strip().casefold()
