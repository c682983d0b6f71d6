"""Detection by models of the library: boxes and scores are those of the library's own processors, phrases are the caption's own."""

import io
import json
from dataclasses import replace
from functools import cache

import pytest
import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor, pipeline

from filters.annotators import ANNOTATORS
from filters.annotators.detect import DetectPhrases
from filters.annotators.phrases import candidates, words
from filters.annotators.search import DetectRequest, Search, corners
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Detection, Sample
from tests.filters.annotators import tiny_detectors
from tests.filters.annotators.pictures import broken, picture

pytestmark = pytest.mark.usefixtures("one_thread")

GROUNDING, LISTS = ("grounding_dino", "mm_grounding_dino"), ("owlvit", "owlv2")
THRESHOLDS = {
    "grounding_dino": (0.15, 0.005),
    "mm_grounding_dino": (0.03, 0.005),
    "owlvit": (0.3, 0.0),
    "owlv2": (0.3, 0.0),
}  # that some pass
CAPTIONS = ("A red Dog and a man's T-shirt", "the cat.", "His brown umbrella in a red hat, a dog", "A Man and \u0130stanbul dogs")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("detectors")
    return {kind: str(getattr(tiny_detectors, f"save_{kind}")(root / kind)) for kind in GROUNDING + LISTS}


@cache
def loaded_model(folder):
    return DetectPhrases(folder).asks.load()


def detector(folders, kind, **options):
    box, text = THRESHOLDS[kind]
    annotator = DetectPhrases(folders[kind], **{"box_threshold": box, "text_threshold": text, "max_overlap": 1.0} | options)
    annotator.check()
    annotator.setup(loaded_model(folders[kind]))
    return annotator


def samples(*captions):
    return [Sample(f"{number:03}", caption, {"image": picture(number)}) for number, caption in enumerate(captions)]


def image_of(sample):
    return Image.open(io.BytesIO(sample.images["image"]))


def found_by(folders, kind, given, **options):
    """What the model's wrapper says before the overlap rule."""
    import numpy as np

    box, text = THRESHOLDS[kind]
    search = Search(
        **{"phrases": "auto", "labels": (), "max_phrases": 32, "box_threshold": box, "text_threshold": text, "batch_size": 8} | options
    )
    pictures = [np.asarray(image_of(sample)) for sample in given]
    return loaded_model(folders[kind])(DetectRequest(pictures, [sample.caption for sample in given], search))


@cache
def librarys(folder):
    return AutoProcessor.from_pretrained(folder), AutoModelForZeroShotObjectDetection.from_pretrained(folder)


def library_says(folder, sample, text, **thresholds):
    """As its model cards do it: one picture, the processor, the model, the processor. Boxes in fractions, cut at the borders."""
    processor, model = librarys(folder)
    image = image_of(sample)
    inputs = processor(images=image, text=text, return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    [said] = processor.post_process_grounded_object_detection(outputs, target_sizes=[(image.height, image.width)], **thresholds)
    labels = said["labels"].tolist() if said["text_labels"] is None else said["text_labels"]
    sides = (image.width, image.height) * 2
    boxes = [tuple(min(max(value / side, 0.0), 1.0) for value, side in zip(box, sides, strict=True)) for box in said["boxes"].tolist()]
    return list(zip(boxes, said["scores"].tolist(), labels, strict=True))


def matches(found, wanted):
    """Each found box with the label that the library gives it; both in the model's order, where ours leaves out those without a phrase."""
    pairs, rest = [], iter(wanted)
    for each in found:
        same = pytest.approx((*each.box, each.confidence), abs=1e-5)
        label = next(label for box, score, label in rest if (*box, score) == same)
        pairs.append((each, label))
    return pairs


def assert_same(found, wanted):
    assert [score for _, score in found] == pytest.approx([score for _, score in wanted], abs=1e-5)
    for (box, _), (other, _) in zip(found, wanted, strict=True):
        assert box == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("kind", GROUNDING)
def test_grounded_boxes_are_the_librarys_own(folders, kind):
    box_threshold, text_threshold = THRESHOLDS[kind]
    given = samples(*CAPTIONS)
    seen = 0
    for sample, found in zip(given, found_by(folders, kind, given), strict=True):
        text = sample.caption.lower().strip().removesuffix(".") + "."
        wanted = library_says(folders[kind], sample, text, threshold=box_threshold, text_threshold=text_threshold)
        tokenizer = librarys(folders[kind])[0].tokenizer
        for each, label in matches(found, wanted):
            said = set(tokenizer.tokenize(label.replace("[CLS]", "").replace("[SEP]", "")))
            assert said & set(tokenizer.tokenize(sample.caption[slice(*each.core)])) or "[UNK]" in label
            assert sample.caption[slice(*each.span)] == each.phrase
        seen += len(found)
    assert seen > len(given)


@pytest.mark.parametrize("kind", GROUNDING)
def test_labels_of_a_grounding_model_are_the_librarys_own(folders, kind):
    box_threshold, text_threshold = THRESHOLDS[kind]
    asked = [(("Head", "red dog", "cat"), sample) for sample in samples("", "")] + [(("brown hat", "shirt", "man"), samples("")[0])]
    names = set()
    for labels, sample in asked:
        [found] = found_by(folders, kind, [sample], labels=labels)
        wanted = library_says(folders[kind], sample, [list(labels)], threshold=box_threshold, text_threshold=text_threshold)
        for each, label in matches(found, wanted):
            assert each.span is None and each.is_label and each.phrase in labels
            assert set(each.phrase.lower().split()) & set(label.replace(".", "").split())
            names.add(each.phrase)
    assert len(names) > 1


@pytest.mark.parametrize("kind", LISTS)
def test_chunks_of_a_list_model_are_the_librarys_own(folders, kind):
    given = samples(*CAPTIONS)
    names = set()
    for sample, found in zip(given, found_by(folders, kind, given), strict=True):
        phrases = [sample.caption[slice(*span)] for span in candidates(sample.caption, 32)]
        wanted = library_says(folders[kind], sample, [phrases], threshold=THRESHOLDS[kind][0])
        wanted = [(box, score, phrases[n]) for box, score, n in wanted if box[0] < box[2] and box[1] < box[3]]
        assert found and [each.phrase for each in found] == [phrase for _, _, phrase in wanted]
        assert_same([(each.box, each.confidence) for each in found], [(box, score) for box, score, _ in wanted])
        assert all(sample.caption[slice(*each.span)] == each.phrase for each in found)
        names |= {each.phrase for each in found}
    assert len(names) > 3


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
@pytest.mark.parametrize("phrases", ["auto", "chunks"])
def test_what_shares_a_batch_does_not_move_an_answer(folders, kind, phrases):
    given = samples(*CAPTIONS, *CAPTIONS, "", "dog") + samples("a cat in a red hat and a brown dog")
    options = {"phrases": phrases, "labels": ("head", "red dog")}
    [alone] = zip(*(found_by(folders, kind, [sample], batch_size=1, **options) for sample in given), strict=True)
    for together in (found_by(folders, kind, given, **options), found_by(folders, kind, given[::-1], batch_size=3, **options)[::-1]):
        for one, other in zip(alone, together, strict=True):
            assert [(each.phrase, each.span, each.is_label) for each in one] == [(each.phrase, each.span, each.is_label) for each in other]
            assert_same([(each.box, each.confidence) for each in one], [(each.box, each.confidence) for each in other])


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


def test_a_caption_that_is_longer_than_the_text_encoder_is_looked_at_in_parts(folders):
    long = "A red dog. " * 5 + "The cat and his hat, " * 4 + "a man in a hat"
    [found] = found_by(folders, "grounding_dino", samples(long))
    tokenizer = librarys(folders["grounding_dino"])[0].tokenizer
    assert len(tokenizer(long)["input_ids"]) > 2 * tiny_detectors.MAX_TEXT
    starts = {each.span[0] // 40 for each in found}
    assert len(starts) > 1 and all(long[slice(*each.span)] == each.phrase for each in found)
    [sample] = samples(long)
    first = library_says(folders["grounding_dino"], sample, "a red dog. " * 5, threshold=0.2, text_threshold=0.1)
    assert {round(score, 4) for _, score, _ in first} >= {round(each.confidence, 4) for each in found if each.span[1] < 54}


@pytest.mark.parametrize("num_words", range(19, 26))
@pytest.mark.parametrize("end", ["", "."])
def test_no_word_of_a_caption_is_cut_off_at_the_end_of_a_text(folders, num_words, end):
    caption = " ".join(["dog"] * num_words) + end
    search = Search("auto", (), 1, 0.5, 0.5, 1)
    rows = list(loaded_model(folders["grounding_dino"])._rows(0, caption, search))
    tokenizer = librarys(folders["grounding_dino"])[0].tokenizer
    assert all(len(tokenizer(row.text)["input_ids"]) <= tiny_detectors.MAX_TEXT for row in rows)
    assert sum(row.text.count("dog") for row in rows) == num_words and len(rows) == 1 + (num_words + 3 > tiny_detectors.MAX_TEXT)


def test_many_labels_are_asked_in_as_many_texts_as_they_need(folders):
    labels = tuple(f"{color} {thing}" for color in ("red", "brown", "the") for thing in ("dog", "cat", "man", "hat", "t-shirt"))
    given = samples("")
    [together] = found_by(folders, "grounding_dino", given, labels=labels)
    tokenizer = librarys(folders["grounding_dino"])[0].tokenizer
    assert sum(len(tokenizer(label, add_special_tokens=False)["input_ids"]) + 1 for label in labels) > 2 * tiny_detectors.MAX_TEXT
    [first] = found_by(folders, "grounding_dino", given, labels=labels[:6])  # 2 + 3 + 3 + 3 + 3 + 5 + 3 tokens; 3 more would be too many
    assert together[: len(first)] == [
        replace(each, box=pytest.approx(each.box, abs=1e-5), confidence=pytest.approx(each.confidence, abs=1e-5)) for each in first
    ]
    assert {each.phrase for each in together} - set(labels[:6])


@pytest.mark.parametrize("kind", ["grounding_dino", "owlvit"])
def test_a_label_that_is_too_long_is_the_recipes_fault_and_a_chunk_is_left_out(folders, kind):
    long = "dog " * 7 + "umbrella-umbrella-umbrella-umbrella-umbrella-umbrella"
    with pytest.raises(RecipeError, match=r"label 'dog dog .* tokens, and the model holds"):
        found_by(folders, kind, samples("cat"), labels=(long,))
    [found] = found_by(folders, kind, samples(f"a cat and {long}"), phrases="chunks")
    assert {each.phrase for each in found} == {"cat"}


def test_a_label_has_the_span_of_its_word_where_the_caption_has_it(folders):
    given = samples("A bald Head and a head", "nothing")
    annotated = detector(folders, "owlvit", phrases="none", labels=("head",)).annotate(given)
    assert {(each.phrase, each.span) for each in annotated[0].detections} == {("head", (7, 11))}
    assert {(each.phrase, each.span) for each in annotated[1].detections} == {("head", None)}


def test_a_label_that_is_also_a_chunk_is_looked_for_once(folders):
    [found] = found_by(folders, "owlvit", samples("a DOG and a cat"), labels=("dog",))
    assert {(each.phrase, each.is_label, each.span) for each in found} == {("dog", True, (2, 5)), ("cat", False, (12, 15))}


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


def test_boxes_are_cut_at_the_borders_and_those_outside_are_none():
    assert corners((0.5, 0.5, 0.5, 1.0)) == (0.25, 0.0, 0.75, 1.0)
    assert corners((0.0, 1.0, 0.5, 0.5)) == (0.0, 0.75, 0.25, 1.0)
    assert corners((0.25, 0.5, 0.5, 0.5), 2.0, 1.0) == (0.0, 0.25, 1.0, 0.75)
    assert corners((0.75, 0.5, 0.5, 0.5), 2.0, 1.0) is None and corners((0.5, 0.5, 0.0, 0.5)) is None


def test_a_broken_picture_costs_itself_before_the_model_is_asked(folders):
    annotator = detector(folders, "owlvit")
    asked, [model] = [], annotator._model
    annotator.setup(lambda request: asked.append(len(request.pictures)) or model(request))
    with pytest.raises(SampleError, match="bad: broken_image"):
        annotator.annotate([*samples("a dog"), broken("bad")])
    assert asked == [] and annotator.annotate(samples("a dog"))[0].detections and asked == [1]


@pytest.mark.parametrize("kind", ["grounding_dino", "owlvit"])
def test_half_precision_finds_about_the_same(folders, kind):
    annotator = detector(folders, kind, precision="bfloat16")
    annotator.setup(annotator.asks.load())
    [half], [full] = (each.annotate(samples(CAPTIONS[0])) for each in (annotator, detector(folders, kind)))
    assert half.detections and half.detections[0].confidence == pytest.approx(full.detections[0].confidence, abs=0.1)


def test_a_picture_that_the_processor_shrinks_to_nothing_costs_itself(folders):
    narrow = [Sample(f"{width}", "a dog", {"image": picture(1, size=(width, 1))}) for width in (160, 161)]
    annotator = detector(folders, "grounding_dino")  # its longest edge is 80: of half a pixel and less nothing is left
    with pytest.raises(SampleError, match=r"161: detect_picture_unusable \(161 x 1"):
        annotator.annotate([*samples("a dog"), narrow[1]])
    assert annotator.annotate(samples("a dog"))[0].detections
    for kind in LISTS:
        assert len(detector(folders, kind).annotate(narrow)) == 2


def test_what_cannot_be_had_is_refused_before_any_work(folders, tmp_path):
    with pytest.raises(RecipeError, match="cannot be had"):
        DetectPhrases(str(tmp_path / "nowhere")).check()
    copy = tiny_detectors.save_owlvit(tmp_path / "owlvit")
    (copy / "model.safetensors").rename(copy / "elsewhere")
    with pytest.raises(RecipeError, match=r"has none of model\.safetensors"):
        DetectPhrases(str(copy)).check()
    (copy / "elsewhere").rename(copy / "model.safetensors")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "detr"}))
    with pytest.raises(RecipeError, match="is a detr, which does not find phrases; wanted is one of grounding-dino, "):
        DetectPhrases(str(copy)).check()
    with pytest.raises(RecipeError, match="cannot ground a caption"):
        DetectPhrases(folders["owlv2"], phrases="grounded").check()
    DetectPhrases(folders["grounding_dino"], phrases="grounded").check()


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
    assert ANNOTATORS["detect"] is DetectPhrases and words("red T-shirt")


def test_a_weight_changed_anywhere_in_the_folder_changes_the_fingerprint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    before = DetectPhrases(str(tmp_path)).fingerprint()
    assert DetectPhrases(str(tmp_path)).fingerprint() == before != ""
    (tmp_path / "model.safetensors").write_bytes(bytes(999) + b"1")
    assert DetectPhrases(str(tmp_path)).fingerprint() != before and DetectPhrases("org/detector").fingerprint() == ""
