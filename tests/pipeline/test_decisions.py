"""Deciding over the whole run: the same as judging on the way, with thresholds that can be moved afterwards."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeline.decisions import decide
from pipeline.ledger import Ledger
from pipeline.run_view import Ruling
from pipeline.runner import open_samples, run_steps
from tests.pipeline.test_runner import Limit, samples


@dataclass
class Best(Limit):
    """Keeps the `share` of the living rows with the lowest scores."""

    share: float = 1.0
    compares: bool = True

    def judge_run(self, view):
        rows = np.flatnonzero(view.alive)
        kept = rows[np.argsort(view.score(self.name)[rows])][: round(self.share * len(rows))]
        return {int(row): Ruling("not_the_best", view.keys[kept[0]]) for row in set(rows) - set(kept)}


def scored(rules, n=10, score_rejected=True):
    ledger = Ledger([rule.name for rule in rules], [rule.name for rule in rules if rule.compares])
    kept = [sample.key for sample in run_steps(open_samples(samples(n), ledger), rules, ledger, score_rejected)]
    return kept, ledger.table()


def outcome(decisions):
    return list(zip(*(decisions.columns[name] for name in ("disposition", "stage", "reason")), strict=True))


CHOKING = Limit("second", 5, chokes_on=frozenset("27"))


@pytest.mark.parametrize("score_rejected", [True, False])
def test_deciding_agrees_with_judging_on_the_way(score_rejected):
    rules = [Limit("first", 6), CHOKING, Limit("third", 3)]
    kept, table = scored(rules, score_rejected=score_rejected)
    decisions = decide(rules, table, score_rejected)
    assert kept == ["0", "1", "3"] == [key for key, is_kept in zip(table["key"].to_pylist(), decisions.kept, strict=True) if is_kept]
    assert outcome(decisions) == list(zip(*(table[name].to_pylist() for name in ("disposition", "stage", "reason")), strict=True))
    for name in ("status", "error_message"):
        known = [left_out for left_out, is_kept in zip(table[name].to_pylist(), decisions.kept, strict=True) if not is_kept]
        assert known == [value for value, is_kept in zip(decisions.columns[name], decisions.kept, strict=True) if not is_kept]
    assert not decisions.undecided.any()


@pytest.mark.parametrize("limits", [(9, 9), (6, 3), (2, 9), (3, 1), (0, 0)])
def test_moved_thresholds_give_what_a_new_run_would_give(limits):
    rules = [Limit("first", 4), replace(CHOKING, at_most=8)]
    moved = [Limit("first", limits[0]), replace(CHOKING, at_most=limits[1])]
    old, new = decide(moved, scored(rules)[1], True), decide(moved, scored(moved)[1], True)
    assert old.columns == new.columns and not old.undecided.any()


def test_what_a_guard_had_left_out_cannot_be_decided_anew():
    rules = [Limit("first", 4, is_guard=True), Limit("second", 8)]
    decisions = decide([Limit("first", 6, is_guard=True), rules[1]], scored(rules)[1], True)
    assert np.flatnonzero(decisions.undecided).tolist() == [5, 6]
    tighter = decide([Limit("first", 2, is_guard=True), rules[1]], scored(rules)[1], True)
    assert not tighter.undecided.any() and tighter.kept.sum() == 3


def test_a_rule_that_compares_sees_what_earlier_rules_kept_and_no_failures():
    rules = [Limit("first", 7), Best("best", 99, share=0.5), replace(CHOKING, at_most=99)]
    decisions = decide(rules, scored(rules)[1], True)
    assert outcome(decisions) == [
        *[("", "", "")] * 2,
        ("failed", "second", "indigestible"),
        ("", "", ""),
        *[("rejected", "best", "not_the_best")] * 4,
        *[("rejected", "first", "too_much")] * 2,
    ]
    assert decisions.columns["duplicate_of"][4:8] == ["0"] * 4
    assert decisions.columns["error_message"][7] == "indigestible: stuck"  # it failed later, and would fail again


def test_an_earlier_rule_takes_precedence_over_a_later_failure_and_back():
    rules = [Limit("first", 9), CHOKING]
    table = scored(rules)[1]
    tight = decide([Limit("first", 5), CHOKING], table, True)
    assert outcome(tight)[7] == ("rejected", "first", "too_much")
    assert outcome(tight)[2] == ("failed", "second", "indigestible")


def test_no_rules_leave_what_failed_before():
    _, table = scored([])
    assert decide([], table, True).kept.all()
