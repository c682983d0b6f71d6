"""Samples stream through small stages: no Ray, no GPU, nothing vanishes."""

import io
from dataclasses import dataclass, field, replace

import pytest
from PIL import Image

from pipeline.errors import SampleError, ShardError
from pipeline.ledger import Ledger
from pipeline.runner import open_samples, reopen_samples, run_steps
from pipeline.samples import BadSample, Drop, Sample
from pipeline.stage import Measured, Needs, Rule


@dataclass
class Choking:
    """A stage that cannot use the samples whose keys are in `chokes_on`, and drops those in `drops`."""

    chokes_on: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    name: str = "choking"
    needs: Needs = field(default_factory=lambda: Needs(batch_size=3))

    model: None = None

    def setup(self, model):
        pass

    def __call__(self, batch):
        for sample in batch:
            if sample.key in self.chokes_on:
                raise SampleError(sample.key, "indigestible", "stuck")
        return [self._taste(sample) for sample in batch]

    def _taste(self, sample):
        if sample.key in self.drops:
            return Drop(sample.key, "unwanted", {"taste": 0.1})
        return replace(sample, scores={**sample.scores, "taste": 0.9})


def png(width: int = 8, height: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def samples(n: int) -> list[Sample]:
    return [Sample(str(i), images={"image": png()}) for i in range(n)]


def rows(ledger: Ledger) -> dict[str, tuple[str, str, str]]:
    return {row["key"]: (row["disposition"], row["stage"], row["reason"]) for row in ledger.table().to_pylist()}


def test_a_bad_sample_is_written_down_and_the_rest_goes_on():
    ledger = Ledger(["taste"])
    out = list(run_steps(open_samples(samples(7), ledger), [Choking(frozenset("12"), frozenset("4"))], ledger))
    assert [sample.key for sample in out] == ["0", "3", "5", "6"]
    assert rows(ledger)["1"] == rows(ledger)["2"] == ("failed", "choking", "indigestible")
    assert rows(ledger)["4"] == ("rejected", "choking", "unwanted")


def test_scores_are_kept_for_the_rejected_too():
    ledger = Ledger(["taste"])
    list(run_steps(open_samples(samples(2), ledger), [Choking(drops=frozenset("1"))], ledger))
    assert [row["taste"] for row in ledger.table().to_pylist()] == [0.9, 0.1]


def test_a_stage_that_blames_a_stranger_is_a_bug():
    class Liar(Choking):
        def __call__(self, batch):
            raise SampleError("stranger", "indigestible")

    ledger = Ledger()
    with pytest.raises(ValueError, match="not in its batch"):
        list(run_steps(open_samples(samples(3), ledger), [Liar()], ledger))


def test_an_unreadable_picture_fails_before_any_stage_sees_it():
    ledger = Ledger()
    items = [Sample("good", images={"image": png(30, 20)}), Sample("bad", images={"image": b"<html>no such picture</html>"})]
    [opened] = open_samples(items, ledger)
    assert (opened.headers["image"].width, opened.headers["image"].height) == (30, 20)
    assert rows(ledger)["bad"] == ("failed", "open", "not_an_image")


def test_the_second_sample_with_a_key_fails_and_the_first_goes_on():
    ledger = Ledger()
    twice = [Sample("same", "first"), Sample("same", "second")]
    assert [sample.caption for sample in open_samples(twice, ledger)] == ["first"]
    ledger.accept("same", 5)
    assert [(row["caption"], row["reason"]) for row in ledger.table().to_pylist()] == [("first", ""), ("second", "duplicate_key")]


def test_what_a_source_cannot_read_is_a_failed_row():
    ledger = Ledger()
    assert list(open_samples([BadSample("broken", "caption_not_utf8", "byte 0xff")], ledger)) == []
    assert ledger.counts() == {"input": 1, "accepted": 0, "rejected": 0, "failed": 1}


def test_a_lost_sample_is_noticed():
    ledger = Ledger()
    list(open_samples(samples(2), ledger))
    ledger.accept("0", 1)
    with pytest.raises(ValueError, match="lost on the way, '1' first"):
        ledger.counts()


@dataclass
class Limit:
    """A rule over a score that the key spells: "7" measures 7. It cannot measure the keys in `chokes_on`."""

    name: str
    at_most: float
    is_guard: bool = False
    compares: bool = False
    chokes_on: frozenset[str] = frozenset()
    needs: Needs = field(default_factory=lambda: Needs(batch_size=2))
    model: None = None

    @property
    def scores(self):
        return (self.name,)

    def setup(self, model):
        pass

    def measure(self, batch):
        for sample in batch:
            if sample.key in self.chokes_on:
                raise SampleError(sample.key, "indigestible", "stuck")
        return [Measured({self.name: float(sample.key)}, sample.key.encode() if self.compares else None) for sample in batch]

    def judge(self, scores):
        return "too_much" if scores[self.name] > self.at_most else ""

    def judge_run(self, view):
        return {}


def run(rules, n=4, score_rejected=True):
    assert all(isinstance(rule, Rule) for rule in rules)
    ledger = Ledger([rule.name for rule in rules], [rule.name for rule in rules if rule.compares])
    kept = [sample.key for sample in run_steps(open_samples(samples(n), ledger), rules, ledger, score_rejected)]
    return kept, ledger.table().to_pylist()


def test_what_a_rule_leaves_out_is_measured_by_the_others_and_keeps_the_first_reason():
    kept, rows = run([Limit("first", 1), Limit("second", 0)])
    assert kept == ["0"]
    assert [(row["stage"], row["second"]) for row in rows] == [("", 0.0), ("second", 1.0), ("first", 2.0), ("first", 3.0)]


@pytest.mark.parametrize(("guard", "score_rejected", "measured"), [(False, True, 4), (True, True, 2), (False, False, 2)])
def test_a_guard_spares_the_others_the_measuring(guard, score_rejected, measured):
    kept, rows = run([Limit("first", 1, is_guard=guard), Limit("second", 9)], score_rejected=score_rejected)
    assert kept == ["0", "1"]
    assert sum(row["second"] is not None for row in rows) == measured


def test_a_rejected_sample_that_cannot_be_measured_further_stays_rejected():
    _, rows = run([Limit("first", 1), Limit("second", 9, chokes_on=frozenset("13"))])
    assert [(row["disposition"], row["stage"]) for row in rows[1:]] == [("failed", "second"), ("rejected", "first"), ("rejected", "first")]
    assert (rows[3]["status"], rows[3]["error_message"]) == ("failed_to_second", "indigestible: stuck")
    assert (rows[2]["status"], rows[2]["error_message"]) == ("success", "")


def test_signatures_stand_in_columns_of_their_own():
    _, rows = run([Limit("same", 9, compares=True)], n=2)
    assert [row["signature.same"] for row in rows] == [b"0", b"1"]


def test_the_open_rows_of_a_decided_ledger_are_read_again():
    ledger = Ledger(["taste"])
    list(run_steps(open_samples(samples(4), ledger), [Choking(drops=frozenset("2"))], ledger))
    again = Ledger.resume(ledger.table(), ["taste"])
    opened = list(reopen_samples(samples(4), again))
    assert [(sample.key, sample.scores, sample.headers["image"].width) for sample in opened] == [(key, {"taste": 0.9}, 8) for key in "013"]
    for sample in opened:
        again.accept(sample.key, 1)
    assert again.counts() == {"input": 4, "accepted": 3, "rejected": 1, "failed": 0}


@pytest.mark.parametrize("changed", [samples(3), samples(5), samples(4)[::-1], [*samples(3), BadSample("3", "gone", "away")]])
def test_a_source_that_has_changed_between_the_passes_is_noticed(changed):
    ledger = Ledger()
    list(open_samples(samples(4), ledger))
    with pytest.raises(ShardError):
        list(reopen_samples(changed, Ledger.resume(ledger.table(), [])))
