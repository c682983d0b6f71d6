"""Poses: ViTPose's points as the library's own processor reads them, of the persons that detections or a detector show."""

import io
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForObjectDetection, VitPoseForPoseEstimation

import filters.libraries
from filters.annotators import check_annotator, fingerprint_annotator
from filters.annotators.pose import PersonPoses, as_pose
from filters.annotators.pose_model import apart, corners_of, pixel_box
from filters.stage import AnnotatorStage
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Detection, Pose, Sample, Turn
from tests.filters.annotators import tiny_map_models
from tests.filters.annotators.pictures import broken, picture, samples

pytestmark = pytest.mark.usefixtures("one_thread")

LEFT, RIGHT = (0.0, 0.1, 0.5, 0.9), (0.45, 0.2, 1.0, 1.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pose")
    return {
        "vitpose": str(tiny_map_models.save_vitpose(root / "vitpose")),
        "experts": str(tiny_map_models.save_vitpose(root / "experts", num_experts=2)),
        "detr": str(tiny_map_models.save_detr(root / "detr")),
    }


def loaded(folder, **options):
    annotator = PersonPoses(model=folder, **{"min_confidence": 0.0, "batch_size": 1} | options)
    check_annotator(annotator)
    annotator.setup(annotator.asks.load())
    return annotator


def seen(sample, *boxes, phrase="a tall man"):
    return replace(sample, detections=tuple(Detection(phrase, box, 0.9 - number / 10) for number, box in enumerate(boxes)))


@cache
def librarys(folder):
    return AutoImageProcessor.from_pretrained(folder), VitPoseForPoseEstimation.from_pretrained(folder)


def library_says(folder, sample, boxes):
    """[17, 3] for each box (x, y, width, height in pixels), in pixels, by the processor's own post-processing."""
    processor, model = librarys(folder)
    inputs = processor(Image.open(io.BytesIO(sample.images["image"])), boxes=[boxes], return_tensors="pt")
    more = {"dataset_index": torch.zeros(len(boxes), dtype=torch.int64)} if "experts" in folder else {}
    with torch.no_grad():
        outputs = model(**inputs, **more)
    [persons] = processor.post_process_pose_estimation(outputs, boxes=[boxes])
    return [np.concatenate([person["keypoints"].numpy(), person["scores"].numpy()[:, None]], 1) for person in persons]


def assert_poses_are(poses, wanted, size):
    assert len(poses) == len(wanted)
    for pose, points in zip(poses, wanted, strict=True):
        inside = (points[:, 2] > 0) & (points[:, :2] >= 0).all(1) & (points[:, :2] <= size).all(1)
        expected = np.where(inside[:, None], points / (*size, 1), 0)
        expected[:, 2] = np.minimum(expected[:, 2], 1)
        assert pose.layout == "coco17" and np.allclose(pose.points, expected, atol=1e-3)
        assert inside.sum() >= 3


@pytest.mark.parametrize("kind", ["vitpose", "experts"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_points_are_the_librarys_own_in_batches_of_any_size(folders, kind, batch_size):
    given = [seen(sample, LEFT, RIGHT) for sample in samples(4)]
    for sample in loaded(folders[kind], batch_size=batch_size).annotate(given):
        size = Image.open(io.BytesIO(sample.images["image"])).size
        boxes = [[x0 * size[0], y0 * size[1], (x1 - x0) * size[0], (y1 - y0) * size[1]] for x0, y0, x1, y1 in (LEFT, RIGHT)]
        assert_poses_are(sample.poses, library_says(folders[kind], sample, boxes), size)
        assert sample.metadata == {"pose_model": folders[kind]}


def test_another_precision_finds_nearly_the_same(folders):
    options = {"detector": folders["detr"], "detector_threshold": 0.3, "max_overlap": 1.0}
    exact, rough = (loaded(folders["vitpose"], precision=each, **options).annotate(samples(4)) for each in ("float32", "bfloat16"))
    counts = [[len(sample.poses) for sample in each] for each in (exact, rough)]
    assert sum(counts[0]) > 4 and abs(sum(counts[0]) - sum(counts[1])) < sum(counts[0]) / 2 and exact != rough


def library_detects(folder, image, threshold):
    """Boxes of persons inside the picture (x, y, width, height in pixels), the surest first."""
    processor, model = AutoImageProcessor.from_pretrained(folder), AutoModelForObjectDetection.from_pretrained(folder)
    with torch.no_grad():
        outputs = model(**processor(image, return_tensors="pt"))
    [found] = processor.post_process_object_detection(outputs, threshold=threshold, target_sizes=[image.size[::-1]])
    order = [int(number) for number in found["scores"].argsort(descending=True, stable=True) if int(found["labels"][number]) == 1]
    corners = found["boxes"][order].reshape(-1, 2, 2).clamp(min=torch.zeros(2)).minimum(torch.tensor(image.size)).flatten(1)
    boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    return boxes[(boxes[:, 2:] >= 1).all(1)].tolist()


def test_a_detector_says_where_persons_are(folders):
    annotator = loaded(folders["vitpose"], detector=folders["detr"], max_overlap=1.0)
    counts = []
    for sample in annotator.annotate(samples(4)):
        image = Image.open(io.BytesIO(sample.images["image"]))
        boxes = library_detects(folders["detr"], image, 0.5)
        counts.append(len(boxes))
        if boxes:
            assert_poses_are(sample.poses, library_says(folders["vitpose"], sample, boxes), image.size)
        assert bool(boxes) == bool(sample.poses) == ("pose_model" in sample.metadata)
    assert min(counts) == 0 and max(counts) > 3
    assert annotator.annotate(samples(4)) == loaded(folders["vitpose"], detector=folders["detr"], max_overlap=1.0).annotate(samples(4))


def test_detections_go_before_the_detector(folders):
    [sample] = samples(1)
    with_detector = loaded(folders["vitpose"], detector=folders["detr"], detector_threshold=0.0)
    assert with_detector.annotate([seen(sample, LEFT)]) == loaded(folders["vitpose"]).annotate([seen(sample, LEFT)])
    dog = seen(sample, LEFT, phrase="the man's dog")
    assert with_detector.annotate([dog])[0].poses == with_detector.annotate([sample])[0].poses != ()


def test_without_anyone_to_be_seen_the_picture_stays_as_it_is_or_counts_as_one_person(folders):
    given = [samples(1)[0], seen(samples(1)[0], LEFT, phrase="a dog")]
    assert loaded(folders["vitpose"]).annotate(given) == given
    whole = loaded(folders["vitpose"], whole_picture=True).annotate(given)
    assert [len(sample.poses) for sample in whole] == [1, 1]
    assert whole[0].poses == loaded(folders["vitpose"]).annotate([seen(given[0], (0.0, 0.0, 1.0, 1.0))])[0].poses
    one = seen(given[0], LEFT)
    assert loaded(folders["vitpose"], whole_picture=True).annotate([one]) == loaded(folders["vitpose"]).annotate([one])


def test_the_surest_persons_are_taken_each_once(folders):
    [sample] = samples(1)
    nearly = (0.02, 0.1, 0.5, 0.9)
    unsorted = replace(sample, detections=seen(sample, LEFT, nearly, RIGHT).detections[::-1])
    [found] = loaded(folders["vitpose"]).annotate([unsorted])
    [wanted] = loaded(folders["vitpose"]).annotate([seen(sample, LEFT, RIGHT)])
    assert found.poses == wanted.poses and len(found.poses) == 2
    [first] = loaded(folders["vitpose"], max_persons=1).annotate([unsorted])
    assert np.allclose(first.poses[0].points, found.poses[0].points, atol=1e-5) and len(first.poses) == 1
    assert len(loaded(folders["vitpose"], max_overlap=1.0).annotate([unsorted])[0].poses) == 3


def test_points_below_the_confidence_are_not_seen_and_a_person_without_points_is_none(folders):
    [sample] = samples(1)
    [all_of] = loaded(folders["vitpose"]).annotate([seen(sample, LEFT)])
    confidences = sorted(point[2] for point in all_of.poses[0].points if point[2])
    bound = confidences[len(confidences) // 2]
    [some_of] = loaded(folders["vitpose"], min_confidence=bound).annotate([seen(sample, LEFT)])
    assert some_of.poses[0].points == tuple(point if point[2] >= bound else (0, 0, 0) for point in all_of.poses[0].points)
    given = seen(sample, LEFT)
    dim = loaded(folders["vitpose"], min_confidence=1.0)
    dim._model[:] = [lambda request: replace(loaded_model(request), persons=[[np.full((17, 3), 0.5)]])]
    loaded_model = loaded(folders["vitpose"])._model[0]
    assert dim.annotate([given]) == [given]


def test_a_point_is_seen_inside_the_picture_and_from_the_confidence_on():
    points = np.zeros((17, 3))
    points[:7] = [(10, 20, 0.5), (100, 50, 0.3), (10, 20, 0.29), (-1, 20, 0.9), (10, 51, 0.9), (10, 20, 1.7), (np.nan, 20, 0.9)]
    pose = as_pose(points, 100, 50, 0.3)
    assert pose.points[:7] == ((0.1, 0.4, 0.5), (1, 1, 0.3), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0.1, 0.4, 1), (0, 0, 0))
    assert set(pose.points[7:]) == {(0, 0, 0)} and len(as_pose(points, 100, 50, 0.0).points) == 17


def test_poses_that_are_there_stay_unless_they_are_to_be_replaced(folders):
    [sample] = samples(1)
    own = replace(seen(sample, LEFT), poses=(Pose(((0.5, 0.5, 1.0),) * 17),))
    drawn = replace(seen(sample, LEFT), images={**sample.images, "pose": picture(0)})
    assert loaded(folders["vitpose"]).annotate([own, drawn]) == [own, drawn]
    anew = loaded(folders["vitpose"], replace_existing=True).annotate([own, drawn])
    [wanted] = loaded(folders["vitpose"]).annotate([seen(sample, LEFT)])
    assert [sample.poses for sample in anew] == [wanted.poses] * 2 and all("pose" not in sample.images for sample in anew)


def test_dialogues_get_poses_and_what_fails_costs_itself(folders):
    given = [replace(seen(samples(1)[0], LEFT), turns=(Turn("user", ("hello",)),)), seen(broken("bad"), LEFT), Sample("text", "a man")]
    stage = AnnotatorStage("pose", PersonPoses(model=folders["vitpose"], min_confidence=0.0))
    stage.setup(stage.model.load())
    with pytest.raises(SampleError, match="bad: broken_image"):
        stage(given)
    dialogue, text = stage([given[0], given[2]])
    assert dialogue.poses and text == given[2]


def test_boxes_are_cut_at_the_borders_and_kept_apart():
    assert pixel_box((-5, 10, 50, 300), (200, 100)) == (0, 10, 50, 190)
    assert pixel_box((10, 10, 11, 20), (200, 100)) == (10, 10, 1, 10) and pixel_box((10, 10, 10.9, 20), (200, 100)) is None
    assert pixel_box((120, 0, 140, 20), (200, 100)) is None
    assert corners_of((1.0, 2.0, 3.0, 4.0)) == (1.0, 2.0, 4.0, 6.0)
    first, half, beside = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 5.0), (10.0, 0.0, 10.0, 10.0)
    assert apart([first, half, beside], 0.5) == [first, half, beside] and apart([first, half, beside], 0.49) == [first, beside]


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"max_persons": 0}, "1 or more"),
        ({"min_confidence": 1.1}, "min_confidence lies in"),
        ({"detector_threshold": -0.1}, "detector_threshold lies in"),
        ({"max_overlap": 2.0}, "max_overlap lies in"),
        ({"detector": "x", "whole_picture": True}, "either a detector"),
        ({"person_words": ("Man",)}, "person_words"),
        ({"person_words": ()}, "person_words"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        PersonPoses(model="x", **options)


def test_what_cannot_be_had_is_refused_before_any_work(folders, tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="is a detr, which is no ViTPose"):
        check_annotator(PersonPoses(model=folders["detr"]))
    with pytest.raises(RecipeError, match="is a vitpose, which does not detect objects"):
        check_annotator(PersonPoses(model=folders["vitpose"], detector=folders["vitpose"]))
    with pytest.raises(RecipeError, match="finds 133 points, and COCO's 17 are wanted"):
        check_annotator(PersonPoses(model=str(tiny_map_models.save_vitpose(tmp_path / "whole", num_points=133))))
    with pytest.raises(RecipeError, match="has no class 'person'"):
        cars = str(tiny_map_models.save_detr(tmp_path / "cars", ("car", "bus")))
        check_annotator(PersonPoses(model=folders["vitpose"], detector=cars))
    with pytest.raises(RecipeError, match="cannot be had"):
        check_annotator(PersonPoses(model=folders["vitpose"], detector=str(tmp_path / "nowhere")))
    monkeypatch.setattr(filters.libraries, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r'annotator pose: the library scipy is not installed; pip install "mgpt\[maps\]"'):
        check_annotator(PersonPoses(model=folders["vitpose"]))


def test_the_detector_is_in_the_fingerprint(folders):
    alone = fingerprint_annotator(PersonPoses(model=folders["vitpose"]))
    assert alone != fingerprint_annotator(PersonPoses(model=folders["vitpose"], detector=folders["detr"]))
