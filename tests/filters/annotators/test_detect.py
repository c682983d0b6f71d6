"""Detections of samples: sorted, true to the caption, for those alone that want them."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image
from transformers import pipeline

from filters.annotators import ANNOTATORS, check_annotator, fingerprint_annotator
from filters.annotators.detect import DetectPhrases
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Detection, Sample
from tests.filters.annotators import tiny_detectors
from tests.filters.annotators.detecting import CAPTIONS, GROUNDING, LISTS, detector, image_of, samples, save_all
from tests.filters.annotators.pictures import broken, picture

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_all(tmp_path_factory.mktemp("detectors"))


def test_one_label_is_what_the_librarys_pipeline_says(folders):
    [sample] = samples("")
    image = image_of(sample)
    wanted = pipeline("zero-shot-object-detection", model=folders["owlvit"], device="cpu")(image, candidate_labels=["Dog"], threshold=0.3)
    [annotated] = detector(folders, "owlvit", labels=("Dog",), max_detections=100).annotate([sample])
    assert len(annotated.detections) == len(wanted) > 3
    for each, other in zip(annotated.detections, wanted, strict=True):
        sides = (image.width, image.height) * 2
        pixels = [other["box"][name] for name in ("xmin", "ymin", "xmax", "ymax")]
        assert each.confidence == pytest.approx(other["score"], abs=1e-5)
        assert [int(value * side + 1e-3) for value, side in zip(each.box, sides, strict=True)] == [
            min(max(value, 0), side) for value, side in zip(pixels, sides, strict=True)
        ]


@pytest.mark.parametrize("kind", GROUNDING + LISTS)
def test_detections_are_sorted_true_to_the_caption_and_few(folders, kind):
    annotated = detector(folders, kind, max_detections=3, max_overlap=0.5).annotate(samples(*CAPTIONS))
    assert all(1 <= len(sample.detections) <= 3 for sample in annotated)
    for sample in annotated:
        assert [each.confidence for each in sample.detections] == sorted((each.confidence for each in sample.detections), reverse=True)
        for each in sample.detections:
            x0, y0, x1, y1 = each.box
            assert sample.caption[slice(*each.span)] == each.phrase and 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
    assert detector(folders, kind, max_detections=3, max_overlap=0.5).annotate(samples(*CAPTIONS)) == annotated


def test_thresholds_are_exceeded(folders):
    sample = samples(CAPTIONS[0])
    detections = detector(folders, "grounding_dino").annotate(sample)[0].detections
    weakest = min(each.confidence for each in detections)
    assert weakest > 0.2 and len(detections) > 1
    assert detector(folders, "grounding_dino", box_threshold=weakest).annotate(sample)[0].detections == detections[:-1]
    assert detector(folders, "grounding_dino", text_threshold=1.0).annotate(sample)[0].detections == ()


def test_a_label_has_the_span_of_its_word_where_the_caption_has_it(folders):
    given = samples("A bald Head and a head", "nothing")
    annotated = detector(folders, "owlvit", phrases="none", labels=("head",)).annotate(given)
    assert {(each.phrase, each.span) for each in annotated[0].detections} == {("head", (7, 11))}
    assert {(each.phrase, each.span) for each in annotated[1].detections} == {("head", None)}


def test_samples_without_anything_to_look_for_stay_as_they_are(folders):
    annotator = detector(folders, "owlvit")
    annotator.setup(lambda request: pytest.fail("nothing is to be asked"))
    text, empty, signs = Sample("text", "a dog"), *samples("", "...")
    assert annotator.annotate([text, empty, signs]) == [text, empty, signs]


def test_detections_that_are_brought_are_kept_added_to_or_replaced(folders):
    brought = Detection("sun", (0.0, 0.0, 0.1, 0.1), 1.0)
    [bare] = samples("a dog")
    given = replace(bare, detections=(brought,))
    [new] = detector(folders, "owlvit").annotate([bare])
    assert detector(folders, "owlvit").annotate([given]) == [given] and new.detections
    assert detector(folders, "owlvit", existing="add").annotate([given])[0].detections == (brought, *new.detections)
    assert detector(folders, "owlvit", existing="replace").annotate([given])[0].detections == new.detections


def test_boxes_are_fractions_of_the_upright_picture_however_small_it_is_shown(folders):
    large = Image.open(io.BytesIO(picture(0, size=(64, 32)))).resize((640, 320), Image.Resampling.NEAREST)
    turned, upright = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    large.rotate(90, expand=True).save(turned, "PNG", exif=exif)
    large.save(upright, "PNG")
    given = [Sample(str(number), "a dog, a cat", {"image": file.getvalue()}) for number, file in enumerate((turned, upright))]
    first, second = detector(folders, "owlv2").annotate(given)
    assert first.detections == second.detections != ()
    shown = Image.open(upright)
    shown.thumbnail((64, 64), Image.Resampling.BICUBIC, reducing_gap=None)
    file = io.BytesIO()
    shown.save(file, "PNG")
    [small] = detector(folders, "owlv2").annotate([Sample("2", "a dog, a cat", {"image": file.getvalue()})])
    assert detector(folders, "owlv2", max_side=64).annotate(given)[1].detections == small.detections != second.detections


def test_a_broken_picture_costs_itself_and_nothing_is_asked_twice(folders):
    annotator = detector(folders, "owlvit")
    asked, [model] = [], annotator._model
    annotator.setup(lambda request: asked.extend(request.captions) or model(request))
    good, bad = samples("a dog", "a cat"), broken("bad")
    with pytest.raises(SampleError, match="bad: broken_image"):
        annotator.annotate([good[0], bad, good[1]])
    annotated = annotator.annotate(good)
    assert asked == ["a dog", "a cat"] and all(sample.detections for sample in annotated)


@pytest.mark.parametrize("kind", ["grounding_dino", "owlvit"])
def test_half_precision_finds_about_the_same(folders, kind):
    annotator = detector(folders, kind, precision="bfloat16")
    annotator.setup(annotator.asks.load())
    [half], [full] = (each.annotate(samples(CAPTIONS[0])) for each in (annotator, detector(folders, kind)))
    assert half.detections and half.detections[0].confidence == pytest.approx(full.detections[0].confidence, abs=0.1)


def test_a_picture_that_the_processor_refuses_or_that_is_too_narrow_costs_itself(folders):
    long = Sample("long", "a dog", {"image": picture(1, size=(5000, 16))})
    narrow = Sample("narrow", "a dog", {"image": picture(1, size=(60, 15))})
    annotator = detector(folders, "grounding_dino", max_side=5000)  # its longest edge is 80: a quarter of a pixel is left
    good = samples("a dog", "a cat")
    with pytest.raises(SampleError, match=r"long: detect_picture_unusable \(Size must contain"):
        annotator.annotate([good[0], long, good[1]])
    with pytest.raises(SampleError, match=r"narrow: detect_picture_unusable \(60 x 15"):
        annotator.annotate([good[0], narrow])
    assert annotator.annotate(good) == detector(folders, "grounding_dino", max_side=5000).annotate(good)


def test_the_metadata_name_the_model_of_what_was_found(folders):
    first, second = samples("a dog", "a dog")
    [found] = detector(folders, "owlvit", name="heads").annotate([replace(first, metadata={"url": "x"})])
    assert found.metadata == {"url": "x", "heads_model": folders["owlvit"]} and found.detections
    [nothing] = detector(folders, "owlvit", box_threshold=1.0).annotate([second])
    assert nothing == second


def test_what_cannot_be_had_is_refused_before_any_work(folders, tmp_path):
    with pytest.raises(RecipeError, match="cannot be had"):
        check_annotator(DetectPhrases(str(tmp_path / "nowhere")))
    copy = tiny_detectors.save_owlvit(tmp_path / "owlvit")
    (copy / "model.safetensors").rename(copy / "elsewhere")
    with pytest.raises(RecipeError, match=r"has none of model\.safetensors"):
        check_annotator(DetectPhrases(str(copy)))
    (copy / "elsewhere").rename(copy / "model.safetensors")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "detr"}))
    with pytest.raises(RecipeError, match=r"is a detr, which does not find phrases; wanted is one of grounding-dino, "):
        check_annotator(DetectPhrases(str(copy)))
    with pytest.raises(RecipeError, match="cannot ground a caption"):
        check_annotator(DetectPhrases(folders["owlv2"], phrases="grounded"))
    check_annotator(DetectPhrases(folders["grounding_dino"], phrases="grounded"))


@pytest.mark.parametrize("kind", ["grounding_dino", "owlvit"])
def test_missing_weights_are_not_made_up(kind, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = getattr(tiny_detectors, f"save_{kind}")(tmp_path / kind)
    weights = load_file(folder / "model.safetensors")
    name = min(name for name in weights if name.endswith("fc1.weight"))
    save_file({key: tensor for key, tensor in weights.items() if key != name}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(RecipeError, match=r"lacks weights, such as .*fc1"):
        DetectPhrases(str(folder)).asks.load()


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"batch_size": 0}, "1 or more"),
        ({"name": ""}, "is empty"),
        ({"max_detections": 0}, "1 or more"),
        ({"box_threshold": 1.01}, r"in \[0, 1\]"),
        ({"text_threshold": -0.01}, r"in \[0, 1\]"),
        ({"max_overlap": 1.01}, r"in \[0, 1\]"),
        ({"labels": ("head.",)}, "is no phrase"),
        ({"labels": (" head",)}, "is no phrase"),
        ({"labels": ("",)}, "is no phrase"),
        ({"labels": ("head", "Head")}, "twice"),
        ({"phrases": "none"}, "nothing to look for"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        DetectPhrases("x", **options)


def test_options_at_their_bounds_are_taken():
    DetectPhrases("x", box_threshold=0.0, text_threshold=1.0, max_overlap=0.0, batch_size=1, max_detections=1, max_side=1)
    DetectPhrases("x", phrases="none", labels=("head", "red T-shirt"))
    assert ANNOTATORS["detect"] is DetectPhrases


def test_a_weight_changed_anywhere_in_the_folder_changes_the_fingerprint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    before = fingerprint_annotator(DetectPhrases(str(tmp_path)))
    assert fingerprint_annotator(DetectPhrases(str(tmp_path))) == before != ""
    (tmp_path / "model.safetensors").write_bytes(bytes(999) + b"1")
    assert fingerprint_annotator(DetectPhrases(str(tmp_path))) != before and fingerprint_annotator(DetectPhrases("org/detector")) == ""
