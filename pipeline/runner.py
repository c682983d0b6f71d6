"""Run steps over a stream of samples. No Ray here: a worker calls this, on a cluster or in the driver's own process."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, zip_longest
from typing import TypeVar

from pipeline.errors import SampleError, ShardError
from pipeline.images import PictureError, read_header
from pipeline.ledger import Ledger
from pipeline.samples import BadSample, Drop, Sample
from pipeline.stage import Rule, Stage, Step, stops_at

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


def reopen_samples(items: Iterable[Sample | BadSample], ledger: Ledger) -> Iterator[Sample]:
    """The samples of a unit that was read before, of which the ledger has rows: those whose rows are open.

    Raises:
        ShardError: The unit does not hold what it held.
    """
    for item, entry in zip_longest(items, ledger.entries):
        if item is None or entry is None or item.key != entry.key:
            raise ShardError(f"{entry.key if entry else item.key}: the source gives other samples than when they were scored")
        if entry.disposition:
            continue
        if isinstance(item, BadSample):
            raise ShardError(f"{item.key}: could be read when it was scored, and cannot any more ({item.message})")
        headers = {role: read_header(data) for role, data in item.images.items()}
        yield replace(item, headers=headers, scores={**item.scores, **entry.scores})


def run_steps(samples: Iterable[Sample], steps: Sequence[Step], ledger: Ledger, score_rejected: bool = True) -> Iterator[Sample]:
    """Stream samples through `steps`, each in batches of its own size. What is left out is written into the ledger.

    Args:
        score_rejected: Rules measure what an earlier one left out, too, unless that one is a guard.
    """
    stream: Stream = ((sample, True) for sample in samples)
    for step in steps:
        stream = _measured(step, stream, ledger, score_rejected) if isinstance(step, Rule) else _changed(step, stream, ledger)
    for sample, kept in stream:
        if kept:
            ledger.describe(sample)
            yield sample


Stream = Iterator[tuple[Sample, bool]]  # a sample, and whether nothing has left it out yet


def _measured(rule: Rule, stream: Stream, ledger: Ledger, score_rejected: bool) -> Stream:
    while batch := list(islice(stream, rule.needs.batch_size)):
        kept = {sample.key: is_kept for sample, is_kept in batch}
        samples, results = _call(rule.name, rule.measure, [sample for sample, _ in batch], ledger)
        for sample, measured in zip(samples, results, strict=True):
            entry = ledger[sample.key]
            entry.scores |= measured.scores
            if measured.signature is not None:
                entry.signatures[rule.name] = measured.signature
            reason = rule.judge(measured.scores) if measured.scores and kept[sample.key] else ""
            if reason:
                ledger.reject(sample.key, rule.name, reason, sample.scores)
                if stops_at(rule, score_rejected):
                    continue
            scored = replace(sample, scores={**sample.scores, **measured.scores}) if measured.scores else sample
            yield scored, kept[sample.key] and not reason


def _changed(stage: Stage, stream: Stream, ledger: Ledger) -> Stream:
    while batch := list(islice(stream, stage.needs.batch_size)):
        kept = {sample.key: is_kept for sample, is_kept in batch}
        samples, results = _call(stage.name, stage, [sample for sample, _ in batch], ledger)
        for sample, result in zip(samples, results, strict=True):
            if not isinstance(result, Drop):
                yield result, kept[sample.key]
            elif kept[sample.key]:
                ledger.reject(sample.key, stage.name, result.reason, {**sample.scores, **result.scores})


Result = TypeVar("Result")


def _call(
    name: str, step: Callable[[list[Sample]], list[Result]], batch: list[Sample], ledger: Ledger
) -> tuple[list[Sample], list[Result]]:
    """Call a step, leaving out one bad sample after the other. A step is pure, so it may be called again."""
    while batch:
        try:
            return batch, step(batch)
        except SampleError as error:
            rest = [sample for sample in batch if sample.key != error.key]
            if len(rest) == len(batch):
                raise ValueError(f"{name} blames {error.key}, which is not in its batch") from error
            logger.warning("%s: %s", name, error)
            ledger.fail(error.key, name, error.reason, error.message)
            batch = rest
    return [], []
