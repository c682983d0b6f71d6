"""Filters and annotators as stages; the table of filters."""

import random
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from filters import FILTERS
from filters.aspect_ratio import AspectRatio
from filters.stage import AnnotatorStage, FilterRule
from pipeline.images import read_header
from pipeline.samples import ImageHeader, Sample
from pipeline.sources.shapes import Shapes
from pipeline.stage import Measured, Needs, Rule
from tests.filters.clip_models import DIMENSION, write_linear

KEYS = Path(__file__).parents[1] / "golden" / "keys.txt"
WANTED = {  # options without a default
    "metadata_values": {"column": "shape", "drop": ("circle",)},
    "metadata_range": {"column": "size", "max": 9.0},
    "key_list": {"file": str(KEYS)},
}
OF_ANY_SAMPLE = ("metadata_values", "metadata_range", "key_list")  # they judge text, too


def sample(key, width, height=100, **others):
    return Sample(key, images={"image": b""}, headers={"image": ImageHeader("PNG", width, height, 9)}, **others)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A filter of a kind, with the options that it cannot do without."""
    folder = tmp_path_factory.mktemp("heads")
    given = {"target_size": 256, "table": str(Path(__file__).parents[1] / "golden" / "evaluation_pictures.parquet")}
    weights = {kind: write_linear(folder / f"{kind}.safetensors", bias=5.0) for kind in ("aesthetic", "safety", "watermark")}

    def build(kind):
        options = given | WANTED.get(kind, {}) | ({"weights": str(weights[kind])} if kind in weights else {})
        return FILTERS[kind](**{name: value for name, value in options.items() if name in {f.name for f in fields(FILTERS[kind])}})

    return build


def drawn(count):
    """Samples as they reach a filter: headers read, vectors beside them."""
    samples = [Shapes(count=1, sizes=("128x128", "320x64")).draw(str(i)) for i in range(count)]
    vectors = np.random.default_rng(0).normal(size=(count, 2, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return [
        replace(
            sample,
            headers={role: read_header(data) for role, data in sample.images.items()},
            embeddings={"clip_image": image, "clip_text": text},
            scores={"caption_clip_truncated": 0.0},
        )
        for sample, (image, text) in zip(samples, vectors, strict=True)
    ]


def test_a_filter_is_a_rule_that_measures_and_judges():
    rule = FilterRule("aspect_ratio", AspectRatio(max_aspect=2.0))
    assert isinstance(rule, Rule) and not isinstance(AnnotatorStage("captioner", Captioner()), Rule)
    found = rule.measure([sample("a", 150), sample("b", 300)])
    assert found == [Measured({"aspect_ratio": 1.5}), Measured({"aspect_ratio": 3.0})]
    assert [rule.judge(each.scores) for each in found] == ["", "too_elongated"]
    assert not rule.is_guard and not rule.compares and rule.model is None


def test_a_score_that_was_not_announced_is_a_bug():
    @dataclass(frozen=True)
    class Secretive(AspectRatio):
        scores: ClassVar[tuple[str, ...]] = ()

    with pytest.raises(ValueError, match="fills the score 'aspect_ratio'"):
        FilterRule("secretive", Secretive()).measure([sample("a", 100)])


def test_a_filter_that_forgets_a_sample_is_a_bug():
    @dataclass(frozen=True)
    class Forgetful(AspectRatio):
        def measure(self, samples):
            return [Measured()]

    with pytest.raises(ValueError, match="says 1 things of 2 samples"):
        FilterRule("forgetful", Forgetful()).measure([sample("a", 100), sample("b", 100)])


@dataclass(frozen=True)
class Captioner:
    """Says how wide a picture is; loses samples on request."""

    needs: ClassVar[Needs] = Needs(batch_size=3)
    asks: ClassVar[None] = None
    loses: str = ""

    def setup(self, model):
        pass

    def annotate(self, samples):
        return [replace(s, caption=f"{s.headers['image'].width} pixels") for s in samples if s.key != self.loses]


def test_an_annotator_adds_to_every_sample():
    stage = AnnotatorStage("captioner", Captioner())
    assert [s.caption for s in stage([sample("a", 7), sample("b", 8)])] == ["7 pixels", "8 pixels"]
    assert stage.needs.batch_size == 3


def test_an_annotator_that_loses_a_sample_is_a_bug():
    with pytest.raises(ValueError, match="captioner returns other samples"):
        AnnotatorStage("captioner", Captioner(loses="a"))([sample("a", 7), sample("b", 8)])


def test_score_names_are_unique_over_all_filters():
    names = [name for kind in FILTERS.values() for name in kind.scores]
    assert len(names) == len(set(names)) and all(name.isidentifier() for name in names)


@pytest.mark.parametrize("kind", FILTERS)
def test_every_filter_is_pure_and_fills_only_its_scores(kind, built):
    samples = [*drawn(12), Sample("text"), Sample("caption", "only a caption")]
    rule = built(kind)
    assert is_dataclass(rule) and type(rule).__dataclass_params__.frozen and isinstance(rule.needs, Needs)
    FilterRule(kind, rule).setup(None)
    found = rule.measure(samples)
    assert len(found) == len(samples)
    order = random.Random(1).sample(range(len(samples)), len(samples))
    assert rule.measure([samples[i] for i in order]) == [found[i] for i in order]
    for one, measured in zip(samples, found, strict=True):
        assert set(measured.scores) <= set(rule.scores)
        assert not measured.scores or one.images or kind in OF_ANY_SAMPLE
        assert all(type(score) is float for score in measured.scores.values())
        assert not measured.scores or isinstance(rule.judge(measured.scores), str)


@pytest.mark.parametrize("kind", FILTERS)
def test_what_a_filter_measures_does_not_hang_on_its_thresholds(kind, built):
    """Or `mgpt refilter` would judge other numbers than a new run."""
    samples = drawn(6)
    rule = built(kind)
    for f in fields(rule):
        value = getattr(rule, f.name)
        if f.name not in getattr(rule, "measured_by", ()) and isinstance(value, (int, float)):
            other = replace(rule, **{f.name: (not value) if isinstance(value, bool) else value * 3 + 1})
            assert other.measure(samples) == rule.measure(samples)


@pytest.mark.parametrize("kind", FILTERS)
def test_what_a_filter_says_of_its_options_is_true(kind, built):
    rule = built(kind)
    options = {f.name for f in fields(rule)}
    thresholds, scales = getattr(rule, "thresholds", {}), getattr(rule, "scales", {})
    assert {*thresholds, *scales, *getattr(rule, "measured_by", ())} <= options
    assert set(thresholds.values()) <= set(rule.scores)
    assert all(low < high and low <= getattr(rule, name) <= high for name, (low, high) in scales.items())
