"""COCO: boxes, poses and captions from files in the published form."""

import copy
import json
import pickle
import re

import pytest
from PIL import Image

from pipeline.errors import RecipeError, ShardError
from pipeline.images import EXIF_ORIENTATION
from pipeline.samples import BadSample, Detection, Pose, Sample
from pipeline.sources import SOURCES
from pipeline.sources.coco import Coco

INFO = {"description": "COCO 2017 Dataset", "url": "http://cocodataset.org", "version": "1.0", "year": 2017, "date_created": "2017/09/01"}
LICENSES = [{"url": "http://creativecommons.org/licenses/by-nc-sa/2.0/", "id": 1, "name": "Attribution-NonCommercial-ShareAlike License"}]
IMAGES = [
    {
        "license": 4,
        "file_name": "000000397133.jpg",
        "coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg",
        "height": 400,
        "width": 640,
        "date_captured": "2013-11-14 17:02:52",
        "flickr_url": "http://farm7.staticflickr.com/6116/6255196340_da26cf2c9e_z.jpg",
        "id": 397133,
    },
    {
        "license": 1,
        "file_name": "000000037777.jpg",
        "coco_url": "http://images.cocodataset.org/val2017/000000037777.jpg",
        "height": 230,
        "width": 352,
        "date_captured": "2013-11-14 20:55:31",
        "flickr_url": "http://farm9.staticflickr.com/8429/7839199426_f6d48aa585_z.jpg",
        "id": 37777,
    },
]
CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "kitchen", "id": 44, "name": "bottle"},
    {"supercategory": "food", "id": 53, "name": "apple"},
]
POINTS = [320, 40, 2, 0, 0, 0, 330, 50, 1] + [0, 0, 0] * 14
PERSON = {
    "segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
    "area": 1.5,
    "iscrowd": 0,
    "image_id": 397133,
    "bbox": [64.0, 40.0, 320.0, 300.0],
    "category_id": 1,
    "id": 200887,
}
BOXES = [
    {**PERSON, "bbox": [217.62, 240.54, 38.99, 57.75], "category_id": 44, "id": 82445},
    PERSON,
    {**PERSON, "iscrowd": 1, "segmentation": {"counts": [272, 2, 4], "size": [400, 640]}, "bbox": [0, 0, 640, 400], "id": 900100397133},
    {**PERSON, "bbox": [296.65, 388.33, 1.03, 0.0], "category_id": 53, "id": 918},
    {**PERSON, "bbox": [300.0, 100.0, 52.01, 65.0], "category_id": 53, "id": 919, "image_id": 37777},
]
CAPTIONS = [
    {"image_id": 37777, "id": 38, "caption": "The dining table near the kitchen has a bowl of fruit on it."},
    {"image_id": 397133, "id": 370509, "caption": "A man is in a kitchen making pizzas.\n"},
    {"image_id": 37777, "id": 41, "caption": "A small kitchen has various appliances and a table."},
]


def instances(**changed):
    return {"info": INFO, "licenses": LICENSES, "images": IMAGES, "annotations": BOXES, "categories": CATEGORIES, **changed}


def keypoints(**changed):
    person = [{**PERSON, "num_keypoints": 2, "keypoints": POINTS}, {**PERSON, "num_keypoints": 0, "keypoints": [0] * 51, "id": 183126}]
    category = [{**CATEGORIES[0], "keypoints": ["nose", "left_eye", "..."], "skeleton": [[16, 14]]}]
    return {"info": INFO, "licenses": LICENSES, "images": IMAGES, "annotations": person, "categories": category, **changed}


def captions(**changed):
    return {"info": INFO, "images": IMAGES, "licenses": LICENSES, "annotations": CAPTIONS, **changed}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    for image in IMAGES:
        (tmp_path / "val2017" / image["file_name"]).write_bytes(image["file_name"].encode())
    for name, table in (("instances", instances()), ("person_keypoints", keypoints()), ("captions", captions())):
        write(tmp_path, table, name)
    return tmp_path


def write(root, table, name="instances"):
    (root / "annotations" / f"{name}_val2017.json").write_text(json.dumps(table))


def coco(root, path="instances", **options):
    named = {key: str(root / "annotations" / f"{value}_val2017.json") for key, value in {"path": path, **options}.items()}
    return Coco(**named, image_root=str(root / "val2017"))


def read(source, unit_size=100):
    return [sample for unit in source.plan(unit_size) for sample in source.read(unit)]


def test_the_three_files_together_make_a_sample_an_image(root):
    kitchen, table = read(coco(root, keypoints="person_keypoints", captions="captions"))
    assert kitchen == Sample(
        "000000397133",
        "A man is in a kitchen making pizzas.",
        {"image": b"000000397133.jpg"},
        detections=(
            Detection("bottle", (217.62 / 640, 240.54 / 400, (217.62 + 38.99) / 640, (240.54 + 57.75) / 400), 1.0),
            Detection("person", (0.1, 0.1, 0.6, 0.85), 1.0),
        ),
        poses=(Pose(((0.5, 0.1, 1.0), (0.0, 0.0, 0.0), (330 / 640, 0.125, 0.5), *[(0.0, 0.0, 0.0)] * 14)),),
        metadata={
            "image_id": 397133,
            "license": 4,
            "coco_url": IMAGES[0]["coco_url"],
            "date_captured": "2013-11-14 17:02:52",
            "flickr_url": IMAGES[0]["flickr_url"],
            "captions": ["A man is in a kitchen making pizzas."],
        },
    )
    assert table.detections == (Detection("apple", (300 / 352, 100 / 230, 1.0, 165 / 230), 1.0),)  # a hundredth of a pixel stood out
    assert (table.key, table.caption, table.poses) == ("000000037777", CAPTIONS[0]["caption"], ())
    assert table.metadata["captions"] == [CAPTIONS[0]["caption"], CAPTIONS[2]["caption"]]


def test_each_file_stands_alone(root):
    with_boxes, with_persons, with_captions = (read(coco(root, name)) for name in ("instances", "person_keypoints", "captions"))
    assert [len(sample.detections) for sample in with_boxes] == [2, 1]
    assert [[d.phrase for d in sample.detections] for sample in with_persons] == [["person", "person"], []]
    assert [len(sample.poses) for sample in with_persons] == [1, 0]
    assert [sample.caption[:5] for sample in with_captions] == ["A man", "The d"]
    write(root, {"info": INFO, "images": IMAGES, "licenses": LICENSES, "categories": CATEGORIES}, "image_info")
    assert [(sample.detections, sample.caption) for sample in read(coco(root, "image_info"))] == [((), "")] * 2


def test_pictures_lie_beside_the_file_where_no_root_is_named(root):
    for image in IMAGES:
        (root / "val2017" / image["file_name"]).rename(root / "annotations" / image["file_name"])
    source = Coco(str(root / "annotations" / "instances_val2017.json"))
    assert [sample.images["image"] for sample in read(source)] == [image["file_name"].encode() for image in IMAGES]


def test_every_unit_size_gives_the_same_samples_also_after_a_journey(root):
    source = coco(root, keypoints="person_keypoints", captions="captions")
    wanted = read(source)
    sent = pickle.loads(pickle.dumps(source))
    (root / "annotations" / "captions_val2017.json").write_text("gone")  # workers read no annotations again
    assert [sample for unit in source.plan(1) for sample in sent.read(unit)] == wanted
    assert sorted(name.rpartition("/")[2] for name in source.fingerprint()) == [
        "captions_val2017.json",
        "instances_val2017.json",
        "person_keypoints_val2017.json",
    ]


def show(root, width, height, orientation=1):
    """Let the first picture have this size and orientation."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.new("RGB", (width, height)).save(root / "val2017" / IMAGES[0]["file_name"], exif=exif)


@pytest.mark.parametrize(
    ("size", "orientation"), [((640, 400), 1), ((320, 200), 1), ((1280, 801), 1), ((80, 51), 1), ((400, 640), 6), ((640, 400), 3)]
)
@pytest.mark.parametrize("path", ["instances", "person_keypoints"])
def test_a_picture_may_be_a_scaled_copy(root, path, size, orientation):
    show(root, *size, orientation)
    assert all(isinstance(sample, Sample) for sample in read(coco(root, path)))


@pytest.mark.parametrize(
    ("size", "orientation", "found"),
    [
        ((640, 402), 1, "640 x 402 pixels, "),
        ((400, 400), 1, "400 x 400 pixels, "),
        ((80, 52), 1, "80 x 52 pixels, "),
        ((640, 400), 6, "400 x 640 pixels after its EXIF orientation 6, "),
        ((640, 400), 8, "400 x 640 pixels after its EXIF orientation 8, "),
    ],
)
@pytest.mark.parametrize("path", ["instances", "person_keypoints"])
def test_a_picture_of_other_proportions_fails_for_boxes_would_lie_elsewhere(root, path, size, orientation, found):
    show(root, *size, orientation)
    bad, good = read(coco(root, path))
    assert (bad.reason, good.key) == ("size_differs", "000000037777")
    assert re.search(rf"images\[0\]: the picture has {found}which is no copy of the stated 640 x 400", bad.message)


def test_captions_go_with_a_picture_of_any_size(root):
    show(root, 400, 400)
    assert [sample.caption[:5] for sample in read(coco(root, "captions"))] == ["A man", "The d"]


def test_a_missing_picture_is_one_failed_sample(root):
    (root / "val2017" / IMAGES[0]["file_name"]).unlink()
    bad, good = read(coco(root))
    assert isinstance(bad, BadSample) and (bad.key, bad.reason) == ("000000397133", "missing_image")
    assert re.search(r"instances_val2017\.json:1: images\[0\]: .*val2017/000000397133\.jpg: FileNotFoundError", bad.message)
    assert good.key == "000000037777"


@pytest.mark.parametrize(
    ("part", "field", "value", "message"),
    [
        ("annotations", "bbox", [1, 2, 3], r"annotations\[1\]: bbox: wants \[x, y, width, height\], got \[1, 2, 3\]"),
        ("annotations", "bbox", [1, 2, "3", 4], r"annotations\[1\]: bbox: wants"),
        ("annotations", "bbox", [1, 2, float("nan"), 4], r"annotations\[1\]: bbox: wants"),
        ("annotations", "bbox", [1, 2, -3, 4], r"annotations\[1\]: bbox: a side is below 0"),
        ("annotations", "category_id", "1", r"annotations\[1\]: category_id is no number"),
        ("annotations", "category_id", 2, r"annotations\[1\]: category_id 2, here for the first time, is none of the categories"),
        ("annotations", "keypoints", [0] * 50, r"annotations\[1\]: keypoints: wants 17 times x, y, v"),
        ("annotations", "keypoints", [1, 1, 3] + [0] * 48, r"annotations\[1\]: keypoints: v is 0, 1 or 2, got \[0.0, 3.0\]"),
        ("annotations", "caption", " ", r"annotations\[1\]: caption is no text"),
        ("annotations", "caption", "\ud83d", r"annotations\[1\]: caption: \\ud83d"),
        ("images", "file_name", None, r"images\[0\]: file_name is no text"),
        ("images", "width", "640", r"images\[0\]: width is no number of pixels but '640'"),
        ("images", "height", 0, r"images\[0\]: height is no number of pixels but 0"),
        ("images", "coco_url", "\ud83d", r"images\[0\]: .*\\ud83d"),
    ],
)
def test_a_wrong_field_fails_its_image_alone_and_is_named(root, part, field, value, message):
    table = copy.deepcopy(instances())
    table[part][1 if part == "annotations" else 0][field] = value
    write(root, table)
    bad, good = read(coco(root))
    assert isinstance(bad, BadSample) and bad.reason in ("bad_field", "text_not_utf8", "metadata_not_utf8")
    assert bad.key == ("397133" if field == "file_name" else "000000397133")
    assert re.search(r"instances_val2017\.json:1: " + message, bad.message)
    assert isinstance(good, Sample)


def test_an_annotation_of_no_known_kind_fails_its_image(root):
    write(root, instances(annotations=[{"image_id": 37777, "segments_info": []}]))
    good, bad = read(coco(root))
    assert isinstance(good, Sample)
    assert "holds neither bbox nor keypoints nor caption" in bad.message


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"annotations": []}, '"images" is missing or empty'),
        ({"images": []}, '"images" is missing or empty'),
        ([], "wants '{'"),
        (instances(images=[7]), r"images\[0\]: wants an object, got 7"),
        (instances(images=[{**IMAGES[0], "id": None}]), r"images\[0\]: id is neither a number nor a text but None"),
        (instances(images=[IMAGES[0], IMAGES[0]]), r"images\[1\]: image 397133 is there twice"),
        (instances(annotations=[{**PERSON, "image_id": [1]}]), r"annotations\[0\]: image_id is neither"),
        (instances(categories=[{"id": 1}]), r"categories\[0\]: name is no text but None"),
        (instances(categories=[{"name": "person"}]), r"categories\[0\]: id is no number but None"),
    ],
)
def test_a_file_of_another_form_is_refused(root, table, message):
    write(root, table)
    with pytest.raises(RecipeError, match=message):
        coco(root).plan(10)


def test_files_that_do_not_belong_together_are_refused(root):
    with pytest.raises(RecipeError, match="has keypoints of its own"):
        coco(root, "person_keypoints", keypoints="person_keypoints").plan(10)
    with pytest.raises(RecipeError, match=r"captions_val2017.json: has no keypoints"):
        coco(root, keypoints="captions").plan(10)
    with pytest.raises(RecipeError, match="has captions of its own"):
        coco(root, "captions", captions="captions").plan(10)
    with pytest.raises(RecipeError, match=r"instances_val2017.json: has no captions"):
        coco(root, "person_keypoints", captions="instances").plan(10)
    with pytest.raises(RecipeError, match="no such file"):
        coco(root, captions="captoins").plan(10)
    write(root, captions(images=[{**IMAGES[0], "id": 1}]), "captions")
    with pytest.raises(RecipeError, match=r"captions_val2017.json: has no image of .*instances_val2017.json"):
        coco(root, captions="captions").plan(10)


def test_a_picture_that_cannot_be_read_fails_the_unit(root, monkeypatch):
    source = SOURCES["coco"](str(root / "annotations" / "instances_val2017.json"), image_root=str(root / "val2017"))
    [unit] = source.plan(10)

    def broken(*_):
        raise OSError("a bad disk")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.cat_file", broken)
    with pytest.raises(ShardError, match="a bad disk"):
        list(source.read(unit))
