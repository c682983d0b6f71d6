"""What a unit of work leaves in the work folder, by name, and the report that says that it is whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths

WORK_FOLDER = "_work"
OFFERS = "offers"  # in place of a rule's name: the signature that holds what could be made of a sample
DRAWS = "draws"  # column of a decided unit: what is to be made of a sample, where the run is planned
Pass = Literal["all", "score", "encode"]


@dataclass(frozen=True, slots=True)
class UnitReport:
    """What a finished unit says of itself: the content of its `.json`."""

    unit: int
    fingerprint: str  # of recipe and input; a unit of another run is not taken over
    counts: Mapping[str, int]
    sequences: int
    tokens: int
    files: Mapping[str, str]  # name -> sha256
    seconds: Mapping[str, float]  # wall time: total, and inside the encoder or waiting for it
    num_pictures: int = 0


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """The names of a unit's files in the work folder."""

    tokens: str
    ledger: str
    report: str
    scores: str  # the ledger after the first of two passes, with signatures; rows without a disposition go on
    score_report: str
    decided: str  # the same rows, decided


def unit_files(index: int) -> UnitFiles:
    stem = f"{index:06d}"
    return UnitFiles(
        tokens=f"{stem}.tokens.arrow",
        ledger=f"{stem}.ledger.parquet",
        report=f"{stem}.json",
        scores=f"{stem}.scores.parquet",
        score_report=f"{stem}.scores.json",
        decided=f"{stem}.decided.parquet",
    )


def load_report(work_folder: str, index: int, fingerprint: str, part: Pass = "all") -> UnitReport | None:
    """The report of a pass over a unit; None when it is not done, is damaged, or belongs to another recipe or input."""
    names = unit_files(index)
    return read_report(paths.join(work_folder, names.score_report if part == "score" else names.report), work_folder, fingerprint)


def read_report(path: str, folder: str, fingerprint: str) -> UnitReport | None:
    """A report, if all that it says is true.

    Args:
        folder: Where the files lie that it names.
    """
    if not paths.exists(path):
        return None
    try:
        report = UnitReport(**json.loads(paths.read_bytes(path)))
    except (ValueError, TypeError):
        return None
    if report.fingerprint != fingerprint:
        return None
    for name, digest in report.files.items():
        file = paths.join(folder, name)
        if not paths.exists(file) or paths.sha256(file) != digest:
            return None
    return report


def read_ledger(work_folder: str, name: str, columns: list[str] | None = None) -> pa.Table:
    """A unit's ledger, in whichever state."""
    fs, path = paths.open_fs(paths.join(work_folder, name))
    with fs.open(path, "rb") as file:
        return pq.read_table(file, columns=columns)
