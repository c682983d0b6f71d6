"""One unit of `mgpt annotate`: from its source, through filters and annotators, to an image shard that holds all that was said.

    images/00000.tar 00000.parquet 00000_stats.json     see shards/image_shards.py; one shard a unit, what filters left out is not in it
    images/ledger/part-00000.parquet                    one row an input sample: what became of it
    images/units/00000.json                             written last: the unit is whole

What is written depends on the unit, the recipe and the seed alone.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import pyarrow.parquet as pq

from pipeline import paths
from pipeline.batching import EncodePort
from pipeline.ledger import LEDGER_FOLDER, PART_NAME, Ledger
from pipeline.runner import open_samples, run_steps
from pipeline.samples import Sample
from pipeline.shards.image_shards import key_flaw, write_image_shard
from pipeline.sources import Source
from pipeline.sources.unit import Unit
from pipeline.stage import Model, ModelSpec, Step, models_of, set_up
from pipeline.unit_files import Pass, UnitReport, read_report
from pipeline.unit_job import readable

IMAGES_FOLDER = "images"
UNITS_FOLDER = "units"


@dataclass(frozen=True)
class AnnotateJob:
    """Everything a worker needs, built on the driver."""

    source: Source
    steps: tuple[Step, ...]  # rules that judge one sample at a time, then annotators
    score_names: tuple[str, ...]
    fingerprint: str
    folder: str  # OUTPUT/images
    part: Pass = "score"  # nothing is encoded

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """What the steps ask, each once."""
        return models_of(self.steps)

    def setup(self, models: Sequence[Model]) -> None:
        """Load tables; once a worker.

        Args:
            models: One for each of `models`.
        """
        set_up(self.steps, models)

    def run(self, unit: Unit, port: EncodePort | None) -> UnitReport:
        """Do one unit and commit its files."""
        started = time.monotonic()
        ledger = Ledger(self.score_names)
        opened = _writable(open_samples(readable(self.source, unit), ledger), ledger)  # before a model looks at them in vain
        samples = run_steps(opened, self.steps, ledger, score_rejected=False)
        write_image_shard(self.folder, unit.index, _accepted(samples, ledger))
        part = paths.join(LEDGER_FOLDER, PART_NAME.format(unit.index))
        paths.commit(paths.join(self.folder, part), partial(pq.write_table, ledger.table(), compression="zstd"))
        names = [f"{unit.index:05d}.tar", f"{unit.index:05d}.parquet", f"{unit.index:05d}_stats.json", part]
        report = UnitReport(
            unit=unit.index,
            fingerprint=self.fingerprint,
            counts=ledger.counts(),
            sequences=0,
            tokens=0,
            files={name: paths.sha256(paths.join(self.folder, name)) for name in names},
            seconds={"total": time.monotonic() - started, "encode": 0.0},
        )
        paths.commit_bytes(_report_path(self.folder, unit.index), json.dumps(asdict(report), indent=1).encode())
        return report

    def load_report(self, index: int) -> UnitReport | None:
        """The report of a finished unit; None when it is not done, is damaged, or belongs to another recipe or input."""
        return read_report(_report_path(self.folder, index), self.folder, self.fingerprint)


def _writable(samples: Iterator[Sample], ledger: Ledger) -> Iterator[Sample]:
    for sample in samples:
        if flaw := key_flaw(sample.key):
            ledger.fail(sample.key, "write", "bad_key", f"the key {sample.key!r}: {flaw}")
        else:
            yield sample


def _accepted(samples: Iterator[Sample], ledger: Ledger) -> Iterator[Sample]:
    for sample in samples:
        ledger.accept(sample.key, 0)
        yield sample


def _report_path(folder: str, index: int) -> str:
    return paths.join(folder, UNITS_FOLDER, f"{index:05d}.json")
