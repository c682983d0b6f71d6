"""One unit from its source to its files: what a worker does, in the driver's own process or in a Ray actor.

    read -> open -> rules -> | -> annotators -> work (tasks, text, crops) -> pixels -> batches -> codes -> sequences -> files

Where a rule compares samples over the whole run, or wants a model, the work is done in two passes, cut at the bar: `score` leaves every
unit's ledger with all scores, the run is decided (decisions.py), and `encode` reads the source again for what is kept. Otherwise one
pass does `all`. A pass leaves its files in the work folder, and last a `.json` that says that the others are whole. What they hold
depends on the unit, the recipe and the seed alone.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.batching import Batcher, EncodePort
from pipeline.errors import ShardError
from pipeline.images import Crop, PictureError
from pipeline.ledger import Ledger
from pipeline.runner import open_samples, reopen_samples, run_steps
from pipeline.samples import BadSample, Drop, ImageRef, Sample, TokenSequence
from pipeline.shards.arrow_file import write_arrow
from pipeline.shards.schema import token_table
from pipeline.sources import Source
from pipeline.sources.unit import Unit
from pipeline.stage import Model, ModelSpec, Rule, Stage, Step, models_of, set_up
from pipeline.unit_files import OFFERS, Pass, UnitReport, read_ledger, unit_files


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

    @property
    def plans(self) -> bool:
        """Whether it wants to see what all samples offer before it makes anything of one."""
        ...

    def setup(self) -> None: ...

    def offers(self, sample: Sample) -> np.ndarray:
        """What could be made of a sample, for `assign`: [T] uint32."""
        ...

    def assign(self, keys: Sequence[str], offers: np.ndarray) -> np.ndarray:
        """What is to be made of each sample of a run, given the offers [N, T] of all: [N, T] uint8."""
        ...

    def work(self, sample: Sample, draws: np.ndarray | None) -> Work | Drop:
        """Plan a sample's sequences, without decoding.

        Args:
            draws: Its row of what `assign` returned; None in a run that is not planned.

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


@dataclass(frozen=True)
class UnitJob:
    """Everything a worker needs, built on the driver; cheap to pickle until `setup`."""

    source: Source
    steps: tuple[Step, ...]  # rules, and what they need of samples
    annotators: tuple[Stage, ...]
    score_names: tuple[str, ...]
    finisher: Finisher
    token_dtype: str
    fingerprint: str
    work_folder: str
    batch_pixels: int
    waiting_pixels: int
    score_rejected: bool = True
    part: Pass = "all"

    @property
    def active(self) -> tuple[Step, ...]:
        """The steps of this pass."""
        return (*(self.steps if self.part != "encode" else ()), *(self.annotators if self.part != "score" else ()))

    @property
    def signers(self) -> tuple[str, ...]:
        """The rules that compare samples over the run, and leave signatures for it."""
        return tuple(step.name for step in self.steps if isinstance(step, Rule) and step.compares)

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """What the steps of this pass ask, each once."""
        return models_of(self.active)

    def setup(self, models: Sequence[Model]) -> None:
        """Load tables; once a worker.

        Args:
            models: One for each of `models`.
        """
        set_up(self.active, models)
        if self.part != "score" or self.finisher.plans:
            self.finisher.setup()

    def run(self, unit: Unit, port: EncodePort | None) -> UnitReport:
        """Do one unit and commit its files.

        Args:
            port: Where pictures are encoded; None while scoring.
        """
        started = time.monotonic()
        items = readable(self.source, unit)
        if self.part == "encode":
            ledger = Ledger.resume(read_ledger(self.work_folder, unit_files(unit.index).decided), self.score_names)
            samples = reopen_samples(items, ledger)
        else:
            ledger = Ledger(self.score_names, (*self.signers, *([OFFERS] if self.finisher.plans else ())))
            samples = run_steps(open_samples(items, ledger), self.steps, ledger, self.score_rejected)
        if port is None:
            for sample in samples:
                if self.finisher.plans:
                    ledger[sample.key].signatures[OFFERS] = self.finisher.offers(sample).tobytes()
            return self._commit(unit, ledger, None, 0, {"total": time.monotonic() - started, "encode": 0.0})
        timed = _TimedPort(port)
        sequences, num_pictures = self._encode(run_steps(samples, self.annotators, ledger), ledger, timed)
        return self._commit(unit, ledger, sequences, num_pictures, {"total": time.monotonic() - started, "encode": timed.seconds})

    def _encode(self, samples: Iterator[Sample], ledger: Ledger, port: EncodePort) -> tuple[list[TokenSequence], int]:
        """The sequences of a unit, and how many pictures were encoded for them."""
        batcher = Batcher(port, self.batch_pixels, self.waiting_pixels)
        waiting: list[tuple[str, Work, list[int]]] = []
        for sample in samples:
            draws = ledger[sample.key].draws
            work = self.finisher.work(sample, None if draws is None else np.frombuffer(draws, np.uint8))
            if isinstance(work, Drop):
                ledger.reject(sample.key, "tokenize", work.reason, work.scores)
                continue
            ledger[sample.key].scores |= work.scores
            if (tickets := self._submit(sample, work, batcher, ledger)) is not None:
                waiting.append((sample.key, work, tickets))
        batcher.flush()
        sequences: list[TokenSequence] = []
        for key, work, tickets in waiting:
            made = self.finisher.finish(work, [batcher.take(ticket) for ticket in tickets])
            ledger.accept(key, sum(len(sequence.input_ids) for sequence in made))
            sequences += made
        return sequences, sum(len(tickets) for _, _, tickets in waiting)

    def _submit(self, sample: Sample, work: Work, batcher: Batcher, ledger: Ledger) -> list[int] | None:
        """Decode and hand over a sample's pictures; None when one of them cannot be decoded: then none is handed over."""
        try:
            pixels = self.finisher.pixels(sample, work)
        except PictureError as error:
            ledger.fail(sample.key, "decode", error.reason, error.message)
            return None
        if work.pictures:
            shown = next((picture for picture in work.pictures if picture.ref == ImageRef(sample.main_role or "")), work.pictures[0])
            name = shown.ref.name if shown.ref.name in sample.headers else sample.main_role or ""  # a drawn one has the main one's size
            header, crop, entry = sample.headers[name], shown.crop, ledger[sample.key]
            entry.width, entry.height, entry.bucket = crop.width, crop.height, f"{crop.width}x{crop.height}"
            entry.crop_box = crop.box(header.width, header.height)
            entry.upscale = max(crop.scaled_width / header.width, crop.scaled_height / header.height)
        return [batcher.add(array) for array in pixels]

    def _commit(
        self, unit: Unit, ledger: Ledger, sequences: list[TokenSequence] | None, num_pictures: int, seconds: dict[str, float]
    ) -> UnitReport:
        """Write what this pass made; sequences are None while scoring, when rows are still open."""
        names = unit_files(unit.index)
        own = [names.scores] if sequences is None else [names.tokens, names.ledger]
        counts = ledger.counts() if sequences is not None else {"input": len(ledger.entries)}
        paths.commit(paths.join(self.work_folder, own[-1]), partial(pq.write_table, ledger.table(), compression="zstd"))
        if sequences is not None:
            write_arrow(paths.join(self.work_folder, names.tokens), token_table(sequences, np.dtype(self.token_dtype)))
        report = UnitReport(
            unit=unit.index,
            fingerprint=self.fingerprint,
            counts=counts,
            sequences=len(sequences or ()),
            tokens=sum(len(sequence.input_ids) for sequence in sequences or ()),
            files={name: paths.sha256(paths.join(self.work_folder, name)) for name in own},
            seconds=seconds,
            num_pictures=num_pictures,
        )
        name = names.score_report if sequences is None else names.report
        paths.commit_bytes(paths.join(self.work_folder, name), json.dumps(asdict(report), indent=1).encode())
        return report


def readable(source: Source, unit: Unit) -> Iterator[Sample | BadSample]:
    """A unit's records. Where its file cannot be read (any further), all records that are left fail; one, where their number is unknown."""
    number = unit.start
    try:
        for item in source.read(unit):
            yield item
            number += 1
    except ShardError as error:
        for lost in range(number, max(unit.stop or 0, number + 1)):
            yield BadSample(f"{unit.path}[{lost}]", "unreadable_shard", str(error))


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
