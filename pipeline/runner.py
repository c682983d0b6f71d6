"""Run stages over a stream of samples. No Ray here: a worker calls this, on a cluster or in the driver's own process."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from pipeline.errors import SampleError
from pipeline.images import PictureError, read_header
from pipeline.ledger import Ledger
from pipeline.samples import BadSample, Drop, Sample
from pipeline.stage import Stage

logger = logging.getLogger(__name__)


def open_samples(items: Iterable[Sample | BadSample], ledger: Ledger) -> Iterator[Sample]:
    """Write every input into the ledger, and read the headers of its pictures.

    A picture that cannot be opened fails its sample here, before anything is decoded.
    """
    for item in items:
        if not ledger.add(item):
            continue
        assert isinstance(item, Sample)
        try:
            headers = {role: read_header(data) for role, data in item.images.items()}
        except PictureError as error:
            ledger.fail(item.key, "open", error.reason, error.message)
            continue
        if role := item.main_role:
            entry = ledger[item.key]
            entry.original_width, entry.original_height = headers[role].width, headers[role].height
        yield replace(item, headers=headers)


def run_stages(samples: Iterable[Sample], stages: Sequence[Stage], ledger: Ledger) -> Iterator[Sample]:
    """Stream samples through `stages`, each in batches of its own size. What is left out is written into the ledger."""
    stream: Iterable[Sample] = samples
    for stage in stages:
        stream = _through(stage, stream, ledger)
    for sample in stream:
        ledger[sample.key].scores |= sample.scores
        yield sample


def _through(stage: Stage, stream: Iterable[Sample], ledger: Ledger) -> Iterator[Sample]:
    stream = iter(stream)
    while batch := list(islice(stream, stage.needs.batch_size)):
        batch, results = _call(stage, batch, ledger)
        for sample, result in zip(batch, results, strict=True):
            if isinstance(result, Drop):
                ledger.reject(sample.key, stage.name, result.reason, {**sample.scores, **result.scores})
            else:
                yield result


def _call(stage: Stage, batch: list[Sample], ledger: Ledger) -> tuple[list[Sample], list[Sample | Drop]]:
    """Call a stage, leaving out one bad sample after the other. A stage is pure, so it may be called again."""
    while batch:
        try:
            return batch, stage(batch)
        except SampleError as error:
            rest = [sample for sample in batch if sample.key != error.key]
            if len(rest) == len(batch):
                raise ValueError(f"{stage.name} blames {error.key}, which is not in its batch") from error
            logger.warning("%s: %s", stage.name, error)
            ledger.fail(error.key, stage.name, error.reason, error.message)
            batch = rest
    return [], []
