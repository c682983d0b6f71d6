"""The work behind `mgpt eval-vq`: bounded batches, the choice of pictures, the clock."""

import itertools

import numpy as np
import pytest
from PIL import Image

from jobs.vq_evaluation import MIN_ROUNDS, NamedData, NamedVQ, Plan, evaluate_data, time_vq
from pipeline.sources.folder import Folder
from tests.jobs.recipes import ROOT


class Counted:
    """A quantizer that counts its calls and the pictures in them."""

    def __init__(self):
        self.encoded, self.decoded = [], []

    def encode(self, pixels_BHWC):
        self.encoded.append(pixels_BHWC)
        return np.zeros((len(pixels_BHWC), 2, 2), np.int32)

    def decode(self, codes_Bhw):
        self.decoded.append(len(codes_Bhw))
        return self.encoded[-1]


@pytest.mark.parametrize("seconds, calls", [(0.5, MIN_ROUNDS), (20.0, 10)])
def test_a_timing_is_the_median_without_the_first_call(monkeypatch, seconds, calls):
    monkeypatch.setattr("jobs.vq_evaluation.BATCH_PIXELS", 4 * 32 * 32)
    vq, ticks = Counted(), itertools.count(0.0, 2.0)  # every call takes two seconds
    speed = time_vq(vq, Image.new("RGB", (100, 60)), 32, seconds, lambda: next(ticks))
    assert (speed.encode, speed.decode, speed.num_pictures, speed.side) == (2.0, 2.0, 4, 32)
    assert [len(batch) for batch in vq.encoded] == vq.decoded == [4] * (calls + 1)


def test_what_waits_for_its_batch_is_bounded_and_nothing_is_lost(monkeypatch):
    plan = Plan(target_sizes=(64, 128), num_shown=2, seed=0)
    source = NamedData("photographs", Folder(str(ROOT / "examples" / "photos")), limit=20)
    waiting: list[int] = []

    def run():
        vq = Counted()
        result = evaluate_data(source, (NamedVQ("copier", vq, 8),), plan, {}, lambda line: None)
        waiting.append(max(batch[..., 0].size for batch in vq.encoded))
        return result

    whole = run()
    monkeypatch.setattr("jobs.vq_evaluation.WAITING_PIXELS", 3 * 128 * 128)
    monkeypatch.setattr("jobs.vq_evaluation.BATCH_PIXELS", 5 * 128 * 128)
    bounded = run()
    assert bounded.rows == whole.rows
    assert bounded.cells == whole.cells
    assert [picture.key for picture in bounded.shown] == [picture.key for picture in whole.shown]
    assert whole.num_pictures == 20 and waiting[1] <= 4 * 128 * 128 < waiting[0]


def test_every_target_shows_the_same_pictures_drawn_by_seed():
    source = NamedData("photographs", Folder(str(ROOT / "examples" / "photos")), limit=12)

    def shown(seed):
        plan = Plan(target_sizes=(32, 64), num_shown=4, seed=seed)
        return [(p.target_size, p.key) for p in evaluate_data(source, (NamedVQ("c", Counted(), 8),), plan, {}, lambda line: None).shown]

    first = shown(0)
    assert [key for target, key in first if target == 32] == [key for target, key in first if target == 64]
    assert len(set(first)) == 8
    assert shown(0) == first
    assert {key for _, key in shown(1)} != {key for _, key in first}
