"""What is known of a sample goes through JSON, and through an image shard, unchanged."""

import json
from dataclasses import replace

import pytest

from pipeline.annotations import ANNOTATIONS, from_json, to_json
from pipeline.samples import Caption, Detection, ImageRef, Pose, Sample, Turn
from pipeline.shards.image_shards import write_image_shard
from pipeline.sources.webdataset_tars import WebDataset
from tests.broken_pictures import picture

SAMPLE = Sample(
    "fox",
    "a red fox",
    {"image": picture("PNG"), "depth": picture("PNG")},
    turns=(Turn("user", ("What? ", ImageRef("image"))), Turn("assistant", ("A fox.",))),
    detections=(Detection("red fox", (0.1, 0.2, 0.5, 0.9), 0.8, (2, 9)), Detection("head", (0.1, 0.2, 0.3, 0.4), 0.5)),
    poses=(Pose(((0.25, 0.5, 1.0),) * 17),),
    captions=(Caption("a fox", "blip", num_tokens=3, clip_score=0.25), Caption("", "vlm", finish="error", flaw="caption_timeout")),
)
FIELDS = ("turns", "detections", "poses", "captions")


def test_json_brings_everything_back():
    assert replace(Sample("fox"), **from_json(json.loads(json.dumps(to_json(SAMPLE))))) == replace(
        Sample("fox"), **{name: getattr(SAMPLE, name) for name in FIELDS}
    )


def test_what_is_not_there_takes_no_room():
    assert to_json(Sample("a")) == {} == from_json({})
    assert list(to_json(SAMPLE)["detections"][1]) == ["phrase", "box", "confidence"]


def read_shards(folder) -> list:
    source = WebDataset(str(folder))
    return [item for unit in source.plan(100) for item in source.read(unit)]


def test_an_image_shard_brings_everything_back(tmp_path):
    write_image_shard(str(tmp_path), 0, [SAMPLE])
    [read] = read_shards(tmp_path)
    assert all(getattr(read, name) == getattr(SAMPLE, name) for name in (*FIELDS, "images", "caption", "key"))
    assert ANNOTATIONS not in read.metadata


def test_a_dialogue_in_words_has_its_place_in_a_shard(tmp_path):
    words = Sample("primes", turns=(Turn("user", ("Name a prime.",)), Turn("assistant", ("7.",))))
    write_image_shard(str(tmp_path), 0, [words])
    [read] = read_shards(tmp_path)
    assert (read.turns, read.images) == (words.turns, {})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([], "wants an object"),
        ({"boxes": []}, "boxes"),
        ({"detections": [{"phrase": "a", "box": [0, 1], "confidence": 1}]}, "detections: ValueError"),
        ({"detections": [{"box": [0, 0, 1, 1]}]}, "detections: KeyError: 'phrase'"),
        ({"poses": [{"points": [[0, 0]], "layout": "coco17"}]}, "poses: ValueError"),
        ({"captions": [{"source": "a"}]}, "captions: TypeError"),
        ({"metadata": ["width"]}, "metadata: TypeError: wants an object"),
        ({"turns": [{"role": "system", "content": []}]}, "turns: ValueError: role 'system'"),
    ],
)
def test_what_does_not_fit_is_named(said, message):
    with pytest.raises(ValueError, match=message):
        from_json(said)


def test_a_shard_with_a_broken_annotation_costs_its_sample_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.shards.image_shards.to_json", lambda sample: {"poses": 3} if sample.key == "fox" else {})
    write_image_shard(str(tmp_path), 0, [SAMPLE, replace(SAMPLE, key="owl")])
    broken, sound = read_shards(tmp_path)
    assert (broken.key, broken.reason) == ("fox", "bad_field") and sound.key == "owl"
