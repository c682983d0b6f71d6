"""Samples whose embeddings are near are duplicates; other questions and other edits are not."""

import numpy as np
import pyarrow as pa
import pytest

from filters.near_duplicates import NearDuplicates
from pipeline.errors import SampleError
from pipeline.run_view import RunView
from pipeline.samples import Sample, Turn

DIMENSIONS = 16


def at(degrees):
    """An embedding of length 3 at this angle from the first axis."""
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return 3 * vector


def sample(key, degrees, **others):
    return Sample(key, images=others.pop("images", {"image": key.encode()}), embeddings={"clip_image": at(degrees)}, **others)


def view(samples, rule, aesthetic=None):
    signatures = pa.array([each.signature for each in rule.measure(samples)], pa.binary())
    columns = {"key": [each.key for each in samples], "aesthetic": aesthetic or [None] * len(samples)}
    columns |= {name: [9 if each.images else None for each in samples] for name in ("original_width", "original_height")}
    return RunView(pa.table(columns | {"signature.near_duplicates": signatures}), np.ones(len(samples), bool))


def left_out(samples, aesthetic=None, **options):
    rule = NearDuplicates(**options)
    return {samples[row].key: ruling.duplicate_of for row, ruling in rule.judge_run(view(samples, rule, aesthetic)).items()}


def test_a_cosine_over_the_bound_makes_a_duplicate():
    """Cosines of 14 and 15 degrees: 0.9703 and 0.9659."""
    assert left_out([sample("a", 0), sample("b", 14)]) == {"b": "a"}
    assert left_out([sample("a", 0), sample("b", 15)]) == {}
    assert left_out([sample("a", 0), sample("b", 15)], min_cosine=0.96) == {"b": "a"}
    assert left_out([sample("a", 0), sample("b", 0)], min_cosine=1.0) == {"b": "a"}


def test_the_best_is_kept_and_chains_can_be_forbidden():
    chain = [sample("a", 0), sample("b", 13), sample("c", 26)]
    assert left_out(chain, [1.0, 2.0, 3.0]) == {"a": "c", "b": "c"}
    assert left_out(chain, [1.0, 2.0, 3.0], chained=False) == {"b": "c"}


def test_other_pictures_dialogues_and_captions_keep_samples_apart():
    edits = [sample(key, 0, images={"image": b"p", "edited_1": edit}) for key, edit in (("a", b"x"), ("b", b"y"), ("c", b"x"))]
    assert left_out(edits) == {"c": "a"}
    asked = [sample(word, 0, turns=(Turn("user", (word,)),)) for word in ("how many?", "what?")]
    assert left_out(asked) == {}
    captioned = [sample("a", 0, caption="one"), sample("b", 0, caption="two")]
    assert left_out(captioned) == {"b": "a"} and left_out(captioned, include_caption=True) == {}


def test_text_is_compared_with_nothing_and_a_forgotten_encoder_is_a_bug():
    assert left_out([Sample("a"), Sample("b")]) == {}
    with pytest.raises(ValueError, match="no embedding of any"):
        left_out([Sample("a", images={"image": b"p"})])


def test_the_signature_is_the_direction_in_float16():
    [measured] = NearDuplicates().measure([sample("a", 30)])
    assert len(measured.signature) == 8 + 2 * DIMENSIONS
    assert np.allclose(np.frombuffer(measured.signature[8:], "<f2"), at(30) / 3, atol=1e-3)


@pytest.mark.parametrize("broken", [np.zeros(4, np.float32), np.array([1, np.nan], np.float32), np.array([np.inf, 1], np.float32)])
def test_an_embedding_without_a_direction_fails_its_sample(broken):
    with pytest.raises(SampleError, match="broken_embedding"):
        NearDuplicates().measure([Sample("a", images={"image": b"p"}, embeddings={"clip_image": broken})])
