"""Tiny detectors and what the library itself says by them."""

import io
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from filters.annotators import check_annotator
from filters.annotators.detect import DetectPhrases
from filters.annotators.search import DetectRequest, Search
from pipeline.samples import Sample
from tests.filters.annotators import tiny_detectors
from tests.filters.annotators.pictures import picture

GROUNDING, LISTS = ("grounding_dino", "mm_grounding_dino"), ("owlvit", "owlv2")
THRESHOLDS = {
    "grounding_dino": (0.15, 0.005),
    "mm_grounding_dino": (0.03, 0.005),
    "owlvit": (0.3, 0.0),
    "owlv2": (0.3, 0.0),
}  # that some pass
CAPTIONS = ("A red Dog and a man's T-shirt", "the cat.", "His brown umbrella in a red hat, a dog", "A Man and \u0130stanbul dogs")


def save_all(root):
    return {kind: str(getattr(tiny_detectors, f"save_{kind}")(root / kind)) for kind in GROUNDING + LISTS}


@cache
def loaded_model(folder):
    return DetectPhrases(folder).asks.load()


def detector(folders, kind, **options):
    box, text = THRESHOLDS[kind]
    annotator = DetectPhrases(folders[kind], **{"box_threshold": box, "text_threshold": text, "max_overlap": 1.0} | options)
    check_annotator(annotator)
    annotator.setup(loaded_model(folders[kind]))
    return annotator


def samples(*captions):
    return [Sample(f"{number:03}", caption, {"image": picture(number)}) for number, caption in enumerate(captions)]


def image_of(sample):
    return Image.open(io.BytesIO(sample.images["image"]))


def found_by(folders, kind, given, **options):
    """What the model's wrapper says before the overlap rule."""
    box, text = THRESHOLDS[kind]
    search = Search(
        **{"phrases": "auto", "labels": (), "max_phrases": 32, "box_threshold": box, "text_threshold": text, "batch_size": 8} | options
    )
    pictures = [np.asarray(image_of(sample)) for sample in given]
    return loaded_model(folders[kind])(DetectRequest(pictures, [sample.caption for sample in given], search)).found


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
