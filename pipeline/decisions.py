"""What becomes of every sample, decided from the scores of the whole run. No picture is read.

Rules are asked in their order; the first that leaves a sample out gives the reason. A rule that compares samples sees those that no earlier
rule left out. What failed on the way has failed at the step where it did, unless an earlier rule left it out.

Shapes: N rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.ledger import FAILED_TO
from pipeline.run_view import RunView
from pipeline.stage import Rule, Step, stops_at

DECIDED = ("disposition", "stage", "reason", "duplicate_of", "status", "error_message")  # columns of the ledger


@dataclass(frozen=True, eq=False)
class Decisions:
    """The ledger's columns that are decided, by row; and what is not known."""

    columns: dict[str, list[str]]  # of DECIDED; disposition "" passed every step
    undecided: np.ndarray  # [N] bool: passed, but was not measured to the end, because an earlier threshold had left it out

    @property
    def kept(self) -> np.ndarray:
        """[N] bool"""
        return np.array([not disposition for disposition in self.columns["disposition"]], bool)


def decide(steps: Sequence[Step], table: pa.Table, scores_rejected: bool) -> Decisions:
    """Ask all rules.

    Args:
        steps: All that samples pass before they are annotated, in order.
        table: A ledger with scores and signatures, of this run before it was decided or of an earlier run.
        scores_rejected: Samples that a rule left out were measured by the later ones too.
    """
    rows = _Rows(table)
    rows.repeat(("read", "open"))
    for step in steps:
        rows.repeat((step.name,), rejections=not isinstance(step, Rule))
        if isinstance(step, Rule):
            rows.ask(step, stops_at(step, scores_rejected))
    return rows.decisions()


class _Rows:
    """The rows while rule after rule is asked."""

    def __init__(self, table: pa.Table):
        self._table = table
        self._was: dict[str, list[str]] = {name: table[name].to_pylist() for name in DECIDED}
        self._failed_at = [status.removeprefix(FAILED_TO) if status.startswith(FAILED_TO) else "" for status in self._was["status"]]
        self._alive = np.ones(table.num_rows, bool)
        self._undecided = np.zeros(table.num_rows, bool)
        self._columns = {name: [""] * table.num_rows for name in DECIDED}

    def repeat(self, stages: tuple[str, ...], rejections: bool = False) -> None:
        """What failed at these stages fails again; and what they left out, where they are no rules."""
        for row in self._open_rows():
            if self._failed_at[row] in stages:
                self._fail(row)
            elif rejections and self._was["disposition"][row] == "rejected" and self._was["stage"][row] in stages:
                self._leave_out(row, self._was["stage"][row], self._was["reason"][row])

    def ask(self, rule: Rule, stops: bool) -> None:
        names = [name for name in rule.scores if name in self._table.column_names]
        columns = [self._table[name].to_pylist() for name in names]
        for row in self._open_rows() if names else ():
            scores = {name: column[row] for name, column in zip(names, columns, strict=True) if column[row] is not None}
            if scores and (reason := rule.judge(scores)):
                self._leave_out(row, rule.name, reason)
            elif stops and self._was["disposition"][row] == "rejected" and self._was["stage"][row] == rule.name:
                self._undecided[row] = True
        if rule.compares:
            for row, ruling in rule.judge_run(RunView(self._table, self._alive & ~self._undecided)).items():
                self._leave_out(row, rule.name, ruling.reason, ruling.duplicate_of)

    def decisions(self) -> Decisions:
        return Decisions(self._columns, self._undecided & self._alive)

    def _open_rows(self) -> list[int]:
        rows: list[int] = np.flatnonzero(self._alive).tolist()
        return rows

    def _leave_out(self, row: int, stage: str, reason: str, duplicate_of: str = "") -> None:
        """One that failed at a later step has what failed in front of its message."""
        message, status = self._was["error_message"][row], self._was["status"][row]
        if self._was["disposition"][row] == "failed":
            message = f"{self._was['reason'][row]}: {message}"
        status = status if self._failed_at[row] else "success"
        self._close(row, ("rejected", stage, reason, duplicate_of, status, message))

    def _fail(self, row: int) -> None:
        message, reason = self._was["error_message"][row], self._was["reason"][row]
        if self._was["disposition"][row] == "rejected":
            reason, _, message = message.partition(": ")
        self._close(row, ("failed", self._failed_at[row], reason, "", self._was["status"][row], message))

    def _close(self, row: int, values: tuple[str, ...]) -> None:
        for name, value in zip(DECIDED, values, strict=True):
            self._columns[name][row] = value
        self._alive[row] = False
