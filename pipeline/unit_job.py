"""One unit from its source to its files: what a worker does, in the driver's own process or in a Ray actor.

    read -> open -> filters, annotators -> work (tasks, text, crops) -> pixels -> batches -> codes -> sequences -> files

A unit leaves three files in the work folder: its token table, its ledger, and last its `.json`, which says that the other two are whole.
What they hold depends on the unit, the recipe and the seed alone.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.batching import Batcher, EncodePort
from pipeline.errors import ShardError
from pipeline.images import Crop, PictureError
from pipeline.ledger import Ledger
from pipeline.runner import open_samples, run_stages
from pipeline.samples import BadSample, Drop, ImageRef, Sample, TokenSequence
from pipeline.shards.arrow_file import write_arrow
from pipeline.shards.schema import token_table
from pipeline.sources import Source
from pipeline.sources.unit import Unit
from pipeline.stage import Stage

WORK_FOLDER = "_work"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a sample, cut and ready to be encoded once for all sequences that show it."""

    ref: ImageRef
    crop: Crop


@dataclass(frozen=True, slots=True)
class Work:
    """What a sample becomes: sequences that wait for the codes of its pictures."""

    drafts: tuple[Any, ...]  # the tokenizer's own business
    pictures: tuple[Picture, ...]  # each once
    scores: Mapping[str, float]  # for the ledger


class Finisher(Protocol):
    """The tokenizer, as the frame sees it."""

    def setup(self) -> None: ...

    def work(self, sample: Sample) -> Work | Drop:
        """Plan a sample's sequences, without decoding.

        Raises:
            SampleError: The sample cannot be used.
        """
        ...

    def pixels(self, sample: Sample, work: Work) -> list[np.ndarray]:
        """Decode and cut: uint8 [H, W, 3] for each of `work.pictures`.

        Raises:
            PictureError: A picture cannot be decoded.
        """
        ...

    def finish(self, work: Work, codes: list[np.ndarray]) -> list[TokenSequence]:
        """The sequences, given [H / 16, W / 16] codes for each of `work.pictures`."""
        ...


class Signer(Protocol):
    """A filter that compares samples over the whole run: equal signatures are duplicates."""

    name: str

    def signature(self, sample: Sample) -> bytes | None: ...


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


@dataclass(frozen=True)
class UnitJob:
    """Everything a worker needs, built on the driver; cheap to pickle until `setup`."""

    source: Source
    stages: tuple[Stage, ...]
    signers: tuple[Signer, ...]
    score_names: tuple[str, ...]
    finisher: Finisher
    token_dtype: str
    fingerprint: str
    work_folder: str
    batch_pixels: int
    waiting_pixels: int

    def setup(self) -> None:
        """Load weights and tables; once a worker."""
        for stage in self.stages:
            stage.setup()
        self.finisher.setup()

    def run(self, unit: Unit, port: EncodePort) -> UnitReport:
        """Do one unit and commit its files."""
        started = time.monotonic()
        timed = _TimedPort(port)
        ledger = Ledger(self.score_names, [signer.name for signer in self.signers])
        batcher = Batcher(timed, self.batch_pixels, self.waiting_pixels)
        waiting: list[tuple[str, Work, list[int]]] = []
        for sample, work in self._works(unit, ledger):
            if (tickets := self._submit(sample, work, batcher, ledger)) is not None:
                waiting.append((sample.key, work, tickets))
        batcher.flush()
        sequences: list[TokenSequence] = []
        num_pictures = 0
        for key, work, tickets in waiting:
            made = self.finisher.finish(work, [batcher.take(ticket) for ticket in tickets])
            ledger.accept(key, sum(len(sequence.input_ids) for sequence in made))
            sequences += made
            num_pictures += len(tickets)
        return self._commit(unit, ledger, sequences, num_pictures, {"total": time.monotonic() - started, "encode": timed.seconds})

    def _works(self, unit: Unit, ledger: Ledger) -> Iterator[tuple[Sample, Work]]:
        for sample in run_stages(open_samples(_readable(self.source, unit), ledger), self.stages, ledger):
            work = self.finisher.work(sample)
            if isinstance(work, Drop):
                ledger.reject(sample.key, "tokenize", work.reason, work.scores)
                continue
            entry = ledger[sample.key]
            entry.scores |= work.scores
            for signer in self.signers:
                if (signature := signer.signature(sample)) is not None:
                    entry.signatures[signer.name] = signature
            yield sample, work

    def _submit(self, sample: Sample, work: Work, batcher: Batcher, ledger: Ledger) -> list[int] | None:
        """Decode and hand over a sample's pictures; None when one of them cannot be decoded: then none is handed over."""
        try:
            pixels = self.finisher.pixels(sample, work)
        except PictureError as error:
            ledger.fail(sample.key, "decode", error.reason, error.message)
            return None
        if work.pictures:
            shown = next((picture for picture in work.pictures if picture.ref == ImageRef(sample.main_role or "")), work.pictures[0])
            header, crop, entry = sample.headers[shown.ref.name], shown.crop, ledger[sample.key]
            entry.width, entry.height, entry.bucket = crop.width, crop.height, f"{crop.width}x{crop.height}"
            entry.crop_box = crop.box(header.width, header.height)
            entry.upscale = max(crop.scaled_width / header.width, crop.scaled_height / header.height)
        return [batcher.add(array) for array in pixels]

    def _commit(
        self, unit: Unit, ledger: Ledger, sequences: list[TokenSequence], num_pictures: int, seconds: dict[str, float]
    ) -> UnitReport:
        names = unit_files(unit.index)
        tokens, table = token_table(sequences, np.dtype(self.token_dtype)), ledger.table()
        write_arrow(paths.join(self.work_folder, names.tokens), tokens)
        paths.commit(paths.join(self.work_folder, names.ledger), lambda file: pq.write_table(table, file, compression="zstd"))
        report = UnitReport(
            unit=unit.index,
            fingerprint=self.fingerprint,
            counts=ledger.counts(),
            sequences=len(sequences),
            tokens=sum(len(sequence.input_ids) for sequence in sequences),
            files={name: paths.sha256(paths.join(self.work_folder, name)) for name in (names.tokens, names.ledger)},
            seconds=seconds,
            num_pictures=num_pictures,
        )
        paths.commit_bytes(paths.join(self.work_folder, names.report), json.dumps(asdict(report), indent=1).encode())
        return report


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """The names of a unit's files in the work folder."""

    tokens: str
    ledger: str
    report: str


def unit_files(index: int) -> UnitFiles:
    return UnitFiles(f"{index:06d}.tokens.arrow", f"{index:06d}.ledger.parquet", f"{index:06d}.json")


def load_report(work_folder: str, index: int, fingerprint: str) -> UnitReport | None:
    """The report of a finished unit; None when it is not done, is damaged, or belongs to another recipe or input."""
    path = paths.join(work_folder, unit_files(index).report)
    if not paths.exists(path):
        return None
    try:
        report = UnitReport(**json.loads(paths.read_bytes(path)))
    except (ValueError, TypeError):
        return None
    if report.fingerprint != fingerprint:
        return None
    for name, digest in report.files.items():
        file = paths.join(work_folder, name)
        if not paths.exists(file) or paths.sha256(file) != digest:
            return None
    return report


def _readable(source: Source, unit: Unit) -> Iterator[Sample | BadSample]:
    """A unit's records; where its file cannot be read (any further), one failed record says so."""
    try:
        yield from source.read(unit)
    except ShardError as error:
        yield BadSample(f"{unit.path}[{unit.start}:]", "unreadable_shard", str(error))


class _TimedPort:
    """Counts the time spent in the encoder, or waiting for it."""

    def __init__(self, port: EncodePort):
        self._port = port
        self.seconds = 0.0

    def submit(self, pixels_BHWC: np.ndarray) -> Any:
        started = time.monotonic()
        handle = self._port.submit(pixels_BHWC)
        self.seconds += time.monotonic() - started
        return handle

    def result(self, handle: Any) -> np.ndarray:
        started = time.monotonic()
        codes = self._port.result(handle)
        self.seconds += time.monotonic() - started
        return codes
