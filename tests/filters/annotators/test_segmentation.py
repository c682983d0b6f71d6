"""Classes of pixels: the library's own, lying where its things are, named as the model's config names them."""

import io
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForUniversalSegmentation, pipeline

from filters.annotators import check_annotator
from filters.annotators.segmentation import Segmentation
from filters.annotators.segmentation_model import SegmentationRequest, padded_size
from filters.stage import AnnotatorStage
from pipeline.errors import RecipeError
from pipeline.images import decode_rgb
from pipeline.samples import Sample
from tests.filters.annotators import tiny_map_models
from tests.filters.annotators.pictures import picture, samples
from tests.filters.annotators.tiny_map_models import NAMES

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = ("segformer", "mask2former", "oneformer", "eomt")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("segmentation")
    return {
        "segformer": str(tiny_map_models.save_segformer(root / "segformer")),
        "mask2former": str(tiny_map_models.save_mask2former(root / "mask2former")),
        "oneformer": str(tiny_map_models.save_oneformer(root / "oneformer")),
        "eomt": str(tiny_map_models.save_eomt(root / "eomt")),
        "padding": str(tiny_map_models.save_mask2former(root / "padding", pads=True)),
    }


def loaded(folder, **options):
    annotator = Segmentation(model=folder, **options)
    check_annotator(annotator)
    annotator.setup(annotator.asks.load())
    return annotator


def stored(sample):
    return np.asarray(Image.open(io.BytesIO(sample.images["segmentation"])))


@cache
def librarys(folder):
    return pipeline("image-segmentation", model=folder, device="cpu")


def library_says(folder, sample):
    """[H, W] of the library's own pipeline, put together from its masks."""
    image = decode_rgb(sample.images["image"])
    ids = np.full((image.height, image.width), 255, np.uint8)
    for found in librarys(folder)(image, subtask="semantic"):
        ids[np.asarray(found["mask"]) > 0] = NAMES.index(found["label"])
    return ids


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_classes_are_the_librarys_own_in_batches_of_any_size(folders, kind, batch_size):
    annotated = loaded(folders[kind], batch_size=batch_size).annotate(samples(9))
    for sample in annotated:
        found, wanted = stored(sample), library_says(folders[kind], sample)
        assert found.shape == wanted.shape and (found != wanted).mean() <= (0 if batch_size == 1 else 0.01)
        named = {str(number): NAMES[number] for number in np.unique(found)}
        assert sample.metadata == {"segmentation_classes": named, "segmentation_model": folders[kind]}
        assert sample.headers["segmentation"].mode == "L"
    assert len({name for sample in annotated for name in sample.metadata["segmentation_classes"]}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_another_precision_finds_nearly_the_same(folders, kind):
    rough = loaded(folders[kind], precision="float16").annotate(samples(3))
    for sample, exact in zip(rough, loaded(folders[kind]).annotate(samples(3)), strict=True):
        assert (stored(sample) == stored(exact)).mean() > 0.7


def test_padding_is_cut_off_where_the_library_stretches_it(folders):
    """60 x 40 pixels are seen as the left upper 48 x 32 of 64 x 64: without padding these would be 80 x 80 pixels of the picture."""
    image = decode_rgb(picture(0))
    processor, model = (kind.from_pretrained(folders["padding"]) for kind in (AutoImageProcessor, AutoModelForUniversalSegmentation))
    inputs = processor(images=[image], return_tensors="pt")
    assert inputs["pixel_values"].shape[2:] == (64, 64) and int(inputs["pixel_mask"].sum()) == 32 * 48
    with torch.no_grad():
        [whole] = processor.post_process_semantic_segmentation(model(**inputs), target_sizes=[(80, 80)])
    wanted = whole[:40, :60].numpy()
    [sample] = loaded(folders["padding"]).annotate([Sample("a", "", {"image": picture(0)})])
    assert np.array_equal(stored(sample), wanted)
    assert not np.array_equal(wanted, library_says(folders["padding"], sample))


@pytest.mark.parametrize("size, wanted", [((40, 60), (64, 64)), ((80, 120), (128, 128)), ((20, 31), (32, 33))])
def test_a_size_grows_as_its_padding_does(size, wanted):
    mask = torch.zeros(2, 64, 64, dtype=torch.int64)
    mask[1, :40, :60] = 1
    assert padded_size(size, {"pixel_mask": mask}, 1) == wanted
    assert padded_size(size, {}, 0) == size


def test_more_than_256_classes_take_16_bits(tmp_path):
    names = tuple(f"thing {number}" for number in range(300))
    [sample] = loaded(str(tiny_map_models.save_segformer(tmp_path / "many", names))).annotate(samples(1))
    assert sample.headers["segmentation"].mode == "I;16" and stored(sample).max() > 255
    assert sample.metadata["segmentation_classes"][str(stored(sample).max())] == f"thing {stored(sample).max()}"


def test_256_classes_take_8_bits(tmp_path):
    names = tuple(f"thing {number}" for number in range(256))
    model = Segmentation(model=str(tiny_map_models.save_segformer(tmp_path / "many", names))).asks.load()
    [classes] = model(SegmentationRequest([np.zeros((32, 32, 3), np.uint8)], 1)).classes
    assert classes.ids.dtype == np.uint8


def test_a_model_of_something_else_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="is a vitpose, which does not segment pictures"):
        check_annotator(Segmentation(model=str(tiny_map_models.save_vitpose(tmp_path / "pose"))))
    with pytest.raises(RecipeError, match="lacks weights"):  # a detector of the same family
        Segmentation(model=str(tiny_map_models.save_detr(tmp_path / "detr"))).asks.load()
    with pytest.raises(RecipeError, match="is no semantic EoMT"):
        Segmentation(model=str(tiny_map_models.save_eomt(tmp_path / "eomt", is_tiled=False))).asks.load()


def test_a_folder_without_weights_is_refused_before_any_work(tmp_path):
    folder = tiny_map_models.save_segformer(tmp_path / "segformer")
    (folder / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"annotator segmentation: .* has none of model\.safetensors"):
        check_annotator(Segmentation(model=str(folder)))


def test_the_stage_adds_what_the_annotator_promises(folders):
    stage = AnnotatorStage("segmentation", Segmentation(model=folders["segformer"]))
    stage.setup(stage.model.load())
    assert all(set(Segmentation.adds) <= sample.images.keys() & sample.headers.keys() for sample in stage(samples(3)))
