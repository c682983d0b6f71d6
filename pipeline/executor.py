"""Run units: what every executor promises, and the one that needs no cluster.

`inprocess` does one unit after the other; its encoder runs in a thread of its own, so that the next pictures are decoded meanwhile.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from pipeline.batching import EncodePort
from pipeline.sources.unit import Unit
from pipeline.stage import Model, ModelSpec
from pipeline.unit_files import Pass, UnitReport

MAX_IN_FLIGHT = 2  # batches that wait for an encoder, per worker: one under way and one ready


class Encoder(Protocol):
    """A loaded VQ encoder."""

    def encode(self, pixels_BHWC: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, 3] to codes [B, H / 16, W / 16]."""
        ...


class Job(Protocol):
    """What is done with each unit; built on the driver, cheap to pickle until `setup`."""

    @property
    def part(self) -> Pass:
        """No encoder is there while scoring."""
        ...

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """What its steps ask, each once."""
        ...

    def setup(self, models: Sequence[Model]) -> None: ...

    def run(self, unit: Unit, port: EncodePort | None) -> UnitReport:
        """Do one unit and commit its files."""
        ...


class EncoderSpec(Protocol):
    """A VQ that can be loaded where it is needed; cheap to pickle."""

    def load(self) -> Encoder: ...


def run_inprocess(job: Job, encoder: EncoderSpec, units: Iterable[Unit], on_report: Callable[[UnitReport], None]) -> None:
    """Do all units in this process, in order.

    Args:
        encoder: Not loaded while scoring.
        on_report: Called after each unit is committed.
    """
    job.setup([spec.load() for spec in job.models])
    if job.part == "score":
        for unit in units:
            on_report(job.run(unit, None))
        return
    loaded = encoder.load()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder") as pool:
        port = _ThreadPort(pool, loaded)
        for unit in units:
            on_report(job.run(unit, port))


class _ThreadPort:
    """Encodes in another thread, at most MAX_IN_FLIGHT batches ahead."""

    def __init__(self, pool: ThreadPoolExecutor, encoder: Encoder):
        self._pool = pool
        self._encoder = encoder
        self._in_flight: deque[Future[np.ndarray]] = deque()

    def submit(self, pixels_BHWC: np.ndarray) -> Any:
        while len(self._in_flight) >= MAX_IN_FLIGHT:
            self._in_flight.popleft().result()
        self._in_flight.append(self._pool.submit(self._encoder.encode, pixels_BHWC))
        return self._in_flight[-1]

    def result(self, handle: Any) -> np.ndarray:
        codes: np.ndarray = handle.result()
        return codes
