"""Depth: the library's own values, stored as nearness."""

import io
import json
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from filters.annotators import check_annotator, fingerprint_annotator
from filters.annotators.depth import Depth, spread
from filters.annotators.depth_model import inverse
from filters.stage import AnnotatorStage
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Sample
from tests.filters.annotators import tiny_map_models
from tests.filters.annotators.pictures import broken, samples

FAR = ("metric", "zoe")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("depth")
    return {
        "dpt": str(tiny_map_models.save_dpt(root / "dpt")),
        "relative": str(tiny_map_models.save_depth_anything(root / "relative")),
        "metric": str(tiny_map_models.save_depth_anything(root / "metric", "metric")),
        "zoe": str(tiny_map_models.save_zoe(root / "zoe")),
    }


def loaded(folder, **options):
    annotator = Depth(model=folder, **options)
    check_annotator(annotator)
    annotator.setup(annotator.asks.load())
    return annotator


def stored(sample):
    return np.asarray(Image.open(io.BytesIO(sample.images["depth"]))).astype(np.int64)


@cache
def librarys(folder):
    return pipeline("depth-estimation", model=folder, device="cpu")


def library_says(folder, sample):
    """float32 [H, W]: what the library's own pipeline predicts of one picture."""
    return librarys(folder)(opened(sample))["predicted_depth"].numpy()


def library_says_inverted(folder, sample):
    """The same of a model that tells distances, which are inverted before they are enlarged."""
    model, processor = librarys(folder).model, librarys(folder).image_processor
    with torch.no_grad():
        outputs = model(**processor(images=opened(sample), return_tensors="pt"))
    far = outputs.predicted_depth
    outputs["predicted_depth"] = 1 / far.clamp(min=float(far.max()) / 1000)
    [found] = processor.post_process_depth_estimation(outputs, [opened(sample).size[::-1]])
    return found["predicted_depth"].numpy()


def opened(sample):
    return Image.open(io.BytesIO(sample.images["image"]))


@pytest.mark.parametrize("kind, said", [("dpt", library_says), ("relative", library_says), *[(k, library_says_inverted) for k in FAR]])
@pytest.mark.parametrize("batch_size, tolerance", [(1, 1), (3, 60)])  # of 65,535: sums of a batch differ in their last bits
def test_depth_is_the_librarys_own_as_nearness_in_batches_of_any_size(folders, kind, said, batch_size, tolerance):
    given = samples(9)
    for sample in loaded(folders[kind], batch_size=batch_size).annotate(given):
        near = said(folders[kind], sample).astype(np.float64)
        wanted = (near - near.min()) / (near.max() - near.min()) * 65535
        found = stored(sample)
        assert found.shape == near.shape and np.abs(found - wanted).max() < tolerance
        assert (found.min(), found.max()) == (0, 65535) and len(np.unique(found)) > 300
        assert sample.metadata == {"depth_stored": "nearness", "depth_model": folders[kind]}


@pytest.mark.parametrize("kind", FAR)
def test_what_the_library_says_is_far_is_stored_as_not_near(folders, kind):
    for sample in loaded(folders[kind]).annotate(samples(4)):
        assert np.corrcoef(stored(sample).ravel(), library_says(folders[kind], sample).ravel())[0, 1] < -0.5


@pytest.mark.parametrize("kind", ["dpt", "relative", "metric", "zoe"])
def test_another_precision_gives_nearly_the_same(folders, kind):
    half = loaded(folders[kind], precision="float16")  # these weights are too wild for bfloat16
    for exact, rough in zip(loaded(folders[kind]).annotate(samples(2)), half.annotate(samples(2)), strict=True):
        assert exact.images["depth"] != rough.images["depth"]
        assert np.corrcoef(stored(exact).ravel(), stored(rough).ravel())[0, 1] > 0.7


def test_what_the_values_are_can_be_said_in_the_recipe(folders):
    given = samples(1)
    [near], [far] = (loaded(folders["dpt"], predicts=said).annotate(given) for said in ("nearness", "distance"))
    assert np.corrcoef(stored(near).ravel(), stored(far).ravel())[0, 1] < -0.2
    assert loaded(folders["dpt"]).annotate(given) == [near]


def test_a_model_that_does_not_say_what_its_values_are_is_refused(folders, tmp_path):
    config = json.loads((tiny_map_models.save_dpt(tmp_path / "other") / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "model_type": "chmv2"}))
    with pytest.raises(RecipeError, match='is a chmv2; say predicts = "nearness"'):
        check_annotator(Depth(model=str(tmp_path / "other")))
    check_annotator(Depth(model=str(tmp_path / "other"), predicts="distance"))


def test_a_model_of_something_else_is_refused(tmp_path):
    folder = tiny_map_models.save_segformer(tmp_path / "segformer")
    with pytest.raises(RecipeError, match="is a segformer, which does not estimate depth"):
        check_annotator(Depth(model=str(folder)))


def test_batches_are_a_function_of_the_input(folders):
    annotator = loaded(folders["relative"], batch_size=2)
    given = samples(7)
    assert annotator.annotate(given) == loaded(folders["relative"], batch_size=2).annotate(given)
    assert [sample.images["depth"] for sample in annotator.annotate(samples(7))] == [s.images["depth"] for s in annotator.annotate(given)]


def test_the_stage_passes_on_what_it_is_given_and_names_the_broken_picture(folders):
    stage = AnnotatorStage("depth", Depth(model=folders["dpt"]))
    stage.setup(stage.model.load())
    given = [*samples(2), Sample("text", "words"), broken("bad")]
    with pytest.raises(SampleError, match="bad: broken_image"):
        stage(given)
    assert [("depth" in sample.images, sample.key) for sample in stage(given[:3])] == [(True, "000"), (True, "001"), (False, "text")]


def test_values_that_are_not_finite_are_refused(folders):
    annotator = loaded(folders["dpt"])
    [model] = annotator._model
    annotator._model[:] = [lambda request: replace_first(model(request))]

    def replace_first(answer):
        answer.nearness[0][0, 0] = np.nan
        return answer

    with pytest.raises(SampleError, match=r"000: depth_picture_unusable .* not finite"):
        annotator.annotate(samples(2))


def test_values_are_spread_over_16_bits():
    assert spread(np.float32([[-1, 0], [1, 3]])).tolist() == [[0, 16384], [32768, 65535]]
    assert spread(np.full((2, 2), 7.5, np.float32)).tolist() == [[0, 0], [0, 0]]
    assert spread(np.float32([[1, 1 + 2**-21]])).tolist() == [[0, 0]] and spread(np.float32([[1, 1 + 2**-19]])).tolist() == [[0, 65535]]


def test_a_wild_pixel_does_not_flatten_the_inverse():
    near = inverse(torch.tensor([[[0.0, -3.0, 5.0, 10.0]], [[1.0, 2.0, 4.0, 4.0]]]))
    assert near.tolist() == [[[pytest.approx(100), pytest.approx(100), pytest.approx(0.2), pytest.approx(0.1)]], [[1, 0.5, 0.25, 0.25]]]
    assert len(set(inverse(torch.tensor([[[0.0, -1.0]]])).flatten().tolist())) == 1
    assert inverse(torch.tensor([[[torch.inf, 1.0]]])).isnan()[0, 0, 0]


@pytest.mark.parametrize("options", [{"max_side": 0}, {"batch_size": 0}])
def test_sizes_below_one_are_refused(options):
    with pytest.raises(ValueError, match="1 or more"):
        Depth(model="x", **options)


def test_other_weights_have_another_fingerprint(folders):
    assert fingerprint_annotator(Depth(model=folders["dpt"])) != fingerprint_annotator(Depth(model=folders["zoe"]))
    assert fingerprint_annotator(Depth(model="org/name")) == ""
