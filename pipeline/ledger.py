"""The ledger: one row for every input sample, and what became of it.

accepted + rejected + failed = input, always. A sample is *rejected* when a stage leaves it out on purpose (a filter's threshold, a sequence
over the limit) and *failed* when it could not be used (broken bytes, a caption that is no UTF-8). The first columns are img2dataset's.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.run_view import signature_column
from pipeline.samples import BadSample, Sample

LEDGER_FOLDER = "ledger"
PART_NAME = "part-{:05d}.parquet"
DISPOSITIONS = ("accepted", "rejected", "failed")
FAILED_TO = "failed_to_"  # and the stage: a status, as img2dataset has it

COLUMNS = {
    "url": pa.string(),
    "caption": pa.string(),
    "key": pa.string(),
    "status": pa.string(),  # img2dataset's: "success", or FAILED_TO and the stage; a rejected sample may have failed later
    "error_message": pa.string(),
    "width": pa.int32(),  # pixels, of the crop that was encoded
    "height": pa.int32(),
    "original_width": pa.int32(),  # pixels, of the upright picture
    "original_height": pa.int32(),
    "exif": pa.string(),
    "sha256": pa.string(),  # of the encoded bytes of the main picture
    "disposition": pa.string(),
    "reason": pa.string(),
    "stage": pa.string(),  # that rejected it or failed on it
    "bucket": pa.string(),  # "WxH" in pixels
    "crop_box": pa.list_(pa.int32()),  # x0, y0, x1, y1 in pixels of the upright picture
    "upscale": pa.float64(),  # factor by which the picture was scaled to cover its crop
    "tokens": pa.int64(),  # over all sequences made of the sample
    "duplicate_of": pa.string(),  # key of the sample that is kept in its place
    "captions": pa.string(),  # JSON: a list of the generated ones with their provenance, used or not; empty without any
}


@dataclass(slots=True)
class Entry:
    """A row in the making."""

    key: str
    url: str = ""
    caption: str = ""
    status: str = ""
    error_message: str = ""
    width: int | None = None
    height: int | None = None
    original_width: int | None = None
    original_height: int | None = None
    exif: str = ""
    sha256: str = ""
    disposition: str = ""
    reason: str = ""
    stage: str = ""
    duplicate_of: str = ""
    captions: str = ""
    bucket: str = ""
    crop_box: tuple[int, int, int, int] | None = None
    upscale: float | None = None
    tokens: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    signatures: dict[str, bytes] = field(default_factory=dict)  # by rule
    draws: bytes | None = None  # what is to be made of it, where that was planned over the run


class Ledger:
    """The rows of one unit, in input order.

    Args:
        score_names: Columns for scores, one double each.
        signature_names: Rules that leave signatures, each in a column of its own.
    """

    def __init__(self, score_names: Iterable[str] = (), signature_names: Iterable[str] = ()):
        self.entries: list[Entry] = []
        self._open: dict[str, Entry] = {}
        self._score_names = tuple(score_names)
        self._signature_names = tuple(signature_names)

    def add(self, sample: Sample | BadSample) -> bool:
        """Open a row. A bad sample's row is closed at once, and so is a second one with the same key.

        Returns:
            Whether the sample may go on.
        """
        metadata = sample.metadata
        entry = Entry(sample.key, url=_text(metadata.get("url")), exif=_text(metadata.get("exif")))
        self.entries.append(entry)
        if isinstance(sample, BadSample):
            self._close_failed(entry, "read", sample.reason, sample.message)
            return False
        entry.caption = sample.caption
        if role := sample.main_role:
            entry.sha256 = hashlib.sha256(sample.images[role]).hexdigest()
        if sample.key in self._open:
            self._close_failed(entry, "read", "duplicate_key", "an earlier sample of this unit has the same key")
            return False
        self._open[sample.key] = entry
        return True

    @classmethod
    def resume(cls, table: pa.Table, score_names: Iterable[str]) -> "Ledger":
        """The ledger of a unit that was scored and decided: rows without a disposition are open."""
        ledger = cls(score_names)
        for row in table.to_pylist():
            scores = {name: row.pop(name) for name in ledger._score_names if name in row and name not in COLUMNS}
            entry = Entry(**row, scores={name: value for name, value in scores.items() if value is not None})
            ledger.entries.append(entry)
            if not entry.disposition:
                ledger._open[entry.key] = entry
        return ledger

    def __getitem__(self, key: str) -> Entry:
        """The open or accepted row of a sample."""
        return self._open[key]

    def reject(self, key: str, stage: str, reason: str, scores: Mapping[str, float]) -> None:
        """A stage leaves the sample out on purpose."""
        entry = self._open[key]
        entry.scores |= scores
        entry.status, entry.disposition, entry.reason, entry.stage = "success", "rejected", reason, stage

    def fail(self, key: str, stage: str, reason: str, message: str) -> None:
        """The sample cannot be used. One that was rejected before stays so, and what failed stands beside it."""
        entry = self._open[key]
        if entry.disposition == "rejected":
            entry.status, entry.error_message = FAILED_TO + stage, f"{reason}: {message}"
        else:
            self._close_failed(entry, stage, reason, message)

    def accept(self, key: str, tokens: int) -> None:
        """The sample's sequences are written."""
        entry = self._open[key]
        entry.status, entry.disposition, entry.tokens = "success", "accepted", tokens

    def describe(self, sample: Sample) -> None:
        """Write down what the steps have said of a sample: scores and captions."""
        entry = self._open[sample.key]
        entry.scores |= sample.scores
        if sample.captions:
            entry.captions = json.dumps([asdict(caption) for caption in sample.captions], ensure_ascii=False)

    def counts(self) -> dict[str, int]:
        """Samples by disposition, and their sum as `input`.

        Raises:
            ValueError: A row was left open: a stage lost its sample.
        """
        if lost := [entry.key for entry in self.entries if entry.disposition not in DISPOSITIONS]:
            raise ValueError(f"{len(lost)} samples were lost on the way, {lost[0]!r} first")
        counted = {name: sum(entry.disposition == name for entry in self.entries) for name in DISPOSITIONS}
        return {"input": len(self.entries)} | counted

    def table(self) -> pa.Table:
        """All rows, with a column for each score and each signature."""
        columns: dict[str, pa.Array] = {}
        for name, kind in COLUMNS.items():
            columns[name] = pa.array([_or_score(entry, name) for entry in self.entries], kind)
        for name in self._score_names:
            if name not in COLUMNS:
                columns[name] = pa.array([entry.scores.get(name) for entry in self.entries], pa.float64())
        for name in self._signature_names:
            columns[signature_column(name)] = pa.array([entry.signatures.get(name) for entry in self.entries], pa.binary())
        return pa.table(columns)

    @staticmethod
    def _close_failed(entry: Entry, stage: str, reason: str, message: str) -> None:
        entry.status, entry.error_message = FAILED_TO + stage, message
        entry.disposition, entry.reason, entry.stage = "failed", reason, stage


def _or_score(entry: Entry, name: str) -> Any:
    """A column's value; `upscale` is known from a filter's score where the picture was not cut."""
    value = getattr(entry, name)
    return entry.scores.get(name) if value is None else value


def _text(value: Any) -> str:
    if value is None:  # as an image shard has it of a sample without one
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
