"""Evaluation pictures do not get into the training data."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ImageOps

from filters.evaluation_duplicates import EvaluationDuplicates
from filters.neighbours.picture_hash import picture_hash
from pipeline.errors import RecipeError
from pipeline.images import decode_rgb
from pipeline.samples import Sample
from tests.filters.verdicts import judged

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


def table(folder, **columns):
    path = folder / "evaluation.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


def photo(name):
    return (PHOTOS / f"{name}.jpg").read_bytes()


def encoded(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def swans(tmp_path):
    """A table of swans, and of a picture without a hash."""
    return table(tmp_path, phash=[picture_hash(photo("swans"))[0].hex(), None])


def reasons(rule, *pictures):
    return [verdict.reason for verdict in judged(rule, [Sample("x", images={"image": data}) for data in pictures])]


def test_a_copy_of_an_evaluation_picture_is_left_out(swans):
    rule = EvaluationDuplicates(swans)
    rule.check()
    rule.setup()
    image = decode_rgb(photo("swans"))
    smaller, mirror = encoded(image.resize((400, 250))), encoded(ImageOps.mirror(image))
    assert reasons(rule, smaller, photo("dahlia"), mirror) == ["evaluation_picture", "", "evaluation_picture"]
    assert reasons(replace(rule, mirrored=False), smaller, mirror) == ["evaluation_picture", ""]


def test_both_sides_of_the_bound_and_the_worst_of_several(tmp_path):
    straight, _ = picture_hash(photo("dahlia"))
    away = bytes([straight[0] ^ 0b11111, *straight[1:]])
    rule = EvaluationDuplicates(table(tmp_path, phash=[away.hex(), "f0" * 8]))
    [verdict] = judged(rule, [Sample("x", images={"image": photo("dahlia")})])
    assert verdict.keep and verdict.scores["evaluation_distance"] == 5.0
    assert reasons(replace(rule, max_distance=5), photo("dahlia")) == ["evaluation_picture"]
    for names in (("swans", "dahlia"), ("dahlia", "swans")):
        [two] = judged(rule, [Sample("x", images={f"image_{n}": photo(name) for n, name in enumerate(names)})])
        assert two.scores["evaluation_distance"] == 5.0


def test_embeddings_are_compared_where_the_recipe_says_so(tmp_path, swans):
    vectors = [[3.0, 0.0], None, [0.0, 2.0]]
    rule = EvaluationDuplicates(table(tmp_path, phash=["f0" * 8, None, None], embedding=vectors), embeddings=True)
    rule.check()
    assert rule.needs_clip and not replace(rule, embeddings=False).needs_clip
    samples = [Sample("x", images={"image": photo("dahlia")}, embeddings={"clip_image": np.array([9, y], np.float32)}) for y in (2, 3)]
    assert [verdict.reason for verdict in judged(rule, samples)] == ["evaluation_picture", ""]
    assert "evaluation_cosine" not in replace(rule, embeddings=False).measure(samples)[0].scores
    with pytest.raises(RecipeError, match="embeddings of 2 dimensions, the run's have 3"):
        rule.measure([replace(samples[0], embeddings={"clip_image": np.ones(3, np.float32)})])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"hash": ["f0" * 8]}, "no column phash, but hash"),
        ({"phash": ["f0" * 4]}, "16 hexadecimal digits are wanted, got 'f0f0f0f0'"),
        ({"phash": pa.array([None], pa.string())}, "nothing to compare with"),
    ],
)
def test_a_table_that_guards_nothing_is_refused(tmp_path, columns, message):
    with pytest.raises(RecipeError, match=message):
        EvaluationDuplicates(table(tmp_path, **columns)).check()


def test_no_table_or_none_of_embeddings_is_refused(tmp_path, swans):
    with pytest.raises(RecipeError, match="no column embedding"):
        EvaluationDuplicates(swans, embeddings=True).check()
    for other in (tmp_path / "missing.parquet", PHOTOS / "swans.jpg", tmp_path):
        with pytest.raises(RecipeError, match="is no parquet file"):
            EvaluationDuplicates(str(other)).check()
