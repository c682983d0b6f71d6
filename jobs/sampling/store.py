"""Where answers are put: OUTPUT/samples, whole or not at all, the list last.

    0000.png ...           a picture each, written as it is finished; 0000-1.png is an answer's second one
    tokens/  ledger/       the answers as token shards, a row for each in the ledger: an OUTPUT for the trainer and `mgpt inspect`
    inputs/                thumbnails of dialogues' pictures, by sha256
    index.html             all of it to look at
    samples.jsonl          a line an answer, written last
    _work/                 while it is not finished: plan.json, and for every UNIT answers their lines, sequences, ledger, and last a report

Killed and run again, a run goes on behind the last whole unit; units hold what they hold whatever order answers come in.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from jobs.sampling.engine import Answer, picture_name
from jobs.sampling.gallery import write_gallery
from jobs.sampling.plan import Asked
from pipeline import paths
from pipeline.errors import RecipeError, VerificationError
from pipeline.ledger import LEDGER_FOLDER, Ledger
from pipeline.merge import Identity, merge_units
from pipeline.samples import IMAGE_MARK, Sample
from pipeline.shards.arrow_file import write_arrow
from pipeline.shards.reader import TokenShards
from pipeline.shards.schema import TOKENS_FOLDER, token_table
from pipeline.unit_files import WORK_FOLDER, UnitReport, read_report, unit_files

SAMPLES_FOLDER = "samples"
LIST = "samples.jsonl"
PAGE = "index.html"
INPUTS = "inputs"
PLAN = "plan.json"
UNIT = 16  # answers that are committed together: so many are made again at most after a kill, beside those under way
PICTURE_NAME = re.compile(r"\d{4,}(-\d+)?\.png")


class Store:
    """The folder of one planned run.

    Args:
        folder: OUTPUT/samples.
        fingerprint: Of all that the files depend on.
        identity: Of the token shards; None writes none.
    """

    def __init__(self, folder: Path, asked: Sequence[Asked], fingerprint: str, identity: Identity | None, shard_bytes: int):
        self.folder, self._asked = folder, asked
        self._work = folder / WORK_FOLDER
        self._fingerprint, self._identity, self._shard_bytes = fingerprint, identity, shard_bytes
        self._open: dict[int, dict[int, Answer]] = {}  # by unit, by number

    def is_done(self) -> bool:
        """Whether all is there, from this very plan."""
        if not (self.folder / LIST).is_file():
            return False
        lines = [json.loads(line) for line in (self.folder / LIST).read_text().splitlines()]
        if len(lines) != len(self._asked) or any(
            not one.line.items() <= line.items() for one, line in zip(self._asked, lines, strict=True)
        ):
            return False
        files = [PAGE, *(file for line in lines for file in line["files"])]
        if self._identity is not None and not self._has_tokens():
            return False
        return all((self.folder / file).is_file() for file in files)

    def _has_tokens(self) -> bool:
        try:
            return TokenShards(str(self.folder)).manifest.recipe == self._fingerprint
        except (RecipeError, VerificationError):  # there are none, or they are damaged: they are made again
            return False

    def begin(self) -> list[Asked]:
        """Make room, and say what is left to do: what another plan left is removed, what this one has finished is kept."""
        plan = self._work / PLAN
        if not plan.is_file() or json.loads(plan.read_text()).get("fingerprint") != self._fingerprint:
            self._remove_old()
            paths.commit_bytes(str(plan), json.dumps({"fingerprint": self._fingerprint}).encode())
        for folder in (self.folder, self._work, self.folder / TOKENS_FOLDER, self.folder / LEDGER_FOLDER, self.folder / INPUTS):
            paths.remove_temporaries(str(folder))
        done = {unit for unit in range(self.num_units) if self._report(unit)}
        return [one for one in self._asked if one.number // UNIT not in done]

    @property
    def num_units(self) -> int:
        return -(-len(self._asked) // UNIT)

    def add(self, answer: Answer) -> None:
        """Write an answer's pictures, and its unit when that is whole. An answer that comes again is the same one."""
        for place, png in enumerate(answer.pngs):
            paths.commit_bytes(str(self.folder / picture_name(answer.number, place)), png)
        unit = answer.number // UNIT
        held = self._open.setdefault(unit, {})
        held[answer.number] = replace(answer, pngs=(b"",) * len(answer.pngs))  # they are written: memory is for what is not
        wanted = range(unit * UNIT, min((unit + 1) * UNIT, len(self._asked)))
        if len(held) == len(wanted):
            self._commit(unit, [self._open[unit][number] for number in wanted])
            del self._open[unit]

    def finish(self) -> None:
        """Token shards, page and list from the finished units."""
        units = list(range(self.num_units))
        if self._identity is not None:
            merge_units(str(self.folder), str(self._work), units, self._identity, self._shard_bytes)
        text = b"".join((self._work / _lines_name(unit)).read_bytes() for unit in units)
        write_gallery(self.folder / PAGE, self.folder / INPUTS, self._asked, [json.loads(line) for line in text.splitlines()])
        paths.commit_bytes(str(self.folder / LIST), text)
        self.clear()

    def clear(self) -> None:
        """Remove what a finished run no longer needs."""
        paths.remove_tree(str(self._work))

    def _report(self, unit: int) -> UnitReport | None:
        return read_report(str(self._work / unit_files(unit).report), str(self.folder), self._fingerprint)

    def _commit(self, unit: int, answers: Sequence[Answer]) -> None:
        names = unit_files(unit)
        lines = [describe(self._asked[answer.number].line, answer) for answer in answers]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        paths.commit_bytes(str(self._work / _lines_name(unit)), text.encode())
        files = [f"{WORK_FOLDER}/{_lines_name(unit)}", *(file for line in lines for file in line["files"])]
        counts: Mapping[str, int] = {}
        if self._identity is not None:
            sequences, ledger = [answer.sequence for answer in answers], _ledger(answers)
            counts = ledger.counts()
            write_arrow(str(self._work / names.tokens), token_table(sequences, np.dtype(self._identity.token_dtype)))
            paths.commit(str(self._work / names.ledger), partial(pq.write_table, ledger.table(), compression="zstd"))
            files += [f"{WORK_FOLDER}/{names.tokens}", f"{WORK_FOLDER}/{names.ledger}"]
        report = UnitReport(
            unit=unit,
            fingerprint=self._fingerprint,
            counts=counts,
            sequences=len(answers),
            tokens=sum(len(answer.sequence.input_ids) for answer in answers),
            files={name: paths.sha256(str(self.folder / name)) for name in files},
            seconds={},
            num_pictures=sum(len(answer.pngs) for answer in answers),
        )
        paths.commit_bytes(str(self._work / names.report), json.dumps(asdict(report), indent=1).encode())

    def _remove_old(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (LIST, PAGE):  # the list first: without it nothing here counts as done
            (self.folder / name).unlink(missing_ok=True)
        for name in (TOKENS_FOLDER, LEDGER_FOLDER, INPUTS, WORK_FOLDER):
            paths.remove_tree(str(self.folder / name))
        for path in self.folder.iterdir():
            if PICTURE_NAME.fullmatch(path.name):
                path.unlink()


def describe(line: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """An answer's line in samples.jsonl."""
    files = [picture_name(answer.number, place) for place in range(len(answer.pngs))]
    has_text = any(part is not None for part in answer.parts)
    text = "".join(IMAGE_MARK if part is None else part for part in answer.parts) if has_text else ""
    return {"file": files[0] if files else "", **line, "files": files, "text": text, "finish": answer.finish}


def _ledger(answers: Sequence[Answer]) -> Ledger:
    ledger = Ledger()
    for answer in answers:
        sequence = answer.sequence
        ledger.add(Sample(sequence.key, sequence.caption))
        ledger.accept(sequence.key, len(sequence.input_ids))
    return ledger


def _lines_name(unit: int) -> str:
    return f"{unit:06d}.lines.jsonl"
