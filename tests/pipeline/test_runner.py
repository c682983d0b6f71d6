"""Samples stream through small stages: no Ray, no GPU, nothing vanishes."""

import io
from dataclasses import dataclass, field, replace

import pytest
from PIL import Image

from pipeline.errors import SampleError
from pipeline.ledger import Ledger
from pipeline.runner import open_samples, run_stages
from pipeline.samples import BadSample, Drop, Sample
from pipeline.stage import Needs


@dataclass
class Choking:
    """A stage that cannot use the samples whose keys are in `chokes_on`, and drops those in `drops`."""

    chokes_on: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    name: str = "choking"
    needs: Needs = field(default_factory=lambda: Needs(batch_size=3))

    def setup(self):
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
    out = list(run_stages(open_samples(samples(7), ledger), [Choking(frozenset("12"), frozenset("4"))], ledger))
    assert [sample.key for sample in out] == ["0", "3", "5", "6"]
    assert rows(ledger)["1"] == rows(ledger)["2"] == ("failed", "choking", "indigestible")
    assert rows(ledger)["4"] == ("rejected", "choking", "unwanted")


def test_scores_are_kept_for_the_rejected_too():
    ledger = Ledger(["taste"])
    list(run_stages(open_samples(samples(2), ledger), [Choking(drops=frozenset("1"))], ledger))
    assert [row["taste"] for row in ledger.table().to_pylist()] == [0.9, 0.1]


def test_a_stage_that_blames_a_stranger_is_a_bug():
    class Liar(Choking):
        def __call__(self, batch):
            raise SampleError("stranger", "indigestible")

    ledger = Ledger()
    with pytest.raises(ValueError, match="not in its batch"):
        list(run_stages(open_samples(samples(3), ledger), [Liar()], ledger))


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
