"""The CLIP score is the cosine of picture and caption; its floor and its share of the run."""

import numpy as np
import pyarrow as pa
import pytest

from filters.aesthetic import Aesthetic
from filters.clip_score import ClipScore
from pipeline.run_view import Ruling, RunView
from pipeline.samples import Sample


def sample(image, text, is_cut=0.0):
    vectors = {"clip_image": np.array(image, np.float32), "clip_text": np.array(text, np.float32)}
    return Sample("a", "b", {"image": b""}, embeddings=vectors, scores={"caption_clip_truncated": is_cut})


@pytest.mark.parametrize(
    ("image", "text", "cosine"), [((0.6, 0.8), (1, 0), 0.6), ((0.6, 0.8), (-0.6, -0.8), -1.0), ((1, 0), (0, 1), 0.0), ((0, 1), (0, 1), 1.0)]
)
def test_the_score_is_the_cosine(image, text, cosine):
    [measured] = ClipScore().measure([sample(image, text, 1.0)])
    assert measured.scores == {"clip_score": pytest.approx(cosine, abs=1e-7), "caption_clip_truncated": 1.0}


def test_without_a_caption_there_is_nothing_to_judge():
    only_picture = Sample("a", images={"image": b""}, embeddings={"clip_image": np.ones(2, np.float32)})
    assert [not measured.scores for measured in ClipScore().measure([only_picture, Sample("text", "words")])] == [True, True]


def test_both_sides_of_the_floor():
    assert [ClipScore().judge({"clip_score": value}) for value in (0.199, 0.2)] == ["low_clip_score", ""]


def view(name, values):
    return RunView(
        pa.table({"key": [str(n) for n in range(len(values))], name: pa.array(values, pa.float64())}), np.ones(len(values), bool)
    )


def test_the_share_is_of_all_that_reach_the_filter_and_the_floor_holds_beside_it():
    values = [0.1, 0.5, 0.3, 0.15, 0.05, 0.12, 0.11, 0.4, 0.13, 0.14]
    rule = ClipScore(top_fraction=0.3)
    assert rule.compares and {rule.judge({"clip_score": value}) for value in values} == {""}
    rulings = rule.judge_run(view("clip_score", values))
    assert {row for row in range(10) if row not in rulings} == {1, 2, 7}
    assert {ruling.reason for ruling in rulings.values()} == {"low_clip_score"}
    stricter = ClipScore(min_score=0.35, top_fraction=0.4).judge_run(view("clip_score", values))
    assert {row for row in range(10) if row not in stricter} == {1, 7}
    assert ClipScore(min_score=-1.0, top_fraction=0.5).judge_run(view("clip_score", values))[4] == Ruling("not_in_top_clip_score")


def test_a_run_is_compared_only_where_a_share_is_asked_for():
    assert not ClipScore().compares and not Aesthetic("x").compares and Aesthetic("x", top_fraction=0.99).compares


def test_the_share_of_the_best_by_aesthetics():
    rulings = Aesthetic("x", min_score=1.0, top_fraction=0.25).judge_run(view("aesthetic", [5.0, 6.0, 4.0, 5.5]))
    assert rulings == {row: Ruling("not_in_top_aesthetic") for row in (0, 2, 3)}
