"""RefCOCO: expressions and boxes from the three forms in which it is passed on."""

import pickle
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Detection, Sample
from pipeline.sources import SOURCES
from pipeline.sources.refcoco import RefCoco
from tests.pipeline.sources.refcoco_files import (
    BOXES,
    OBJECTS,
    WITH_PATHS,
    WITH_PICTURES,
    name,
    path_row,
    picture,
    picture_row,
    write_json,
    write_table,
)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "coco" / "train2014").mkdir(parents=True)
    for image, width, height, *_ in OBJECTS:
        (tmp_path / "coco" / "train2014" / f"{name(image)}.jpg").write_bytes(picture(width=width, height=height))
    return tmp_path


FORMS = ("paths", "pictures", "json")


def source(root, form, **options):
    """The objects in one of the forms."""
    if form == "paths":
        write_table(root / "train.parquet", WITH_PATHS, [path_row(*one) for one in OBJECTS])
        return RefCoco(str(root / "train.parquet"), **options)
    if form == "pictures":
        write_table(root / "val.parquet", WITH_PICTURES, [picture_row(*one) for one in OBJECTS], row_group_size=2)
        return RefCoco(str(root / "val.parquet"), **options)
    write_json(root / "finetune_refcoco_train.json", [(*one[:-1], [text for text in one[-1] if text.strip()]) for one in OBJECTS])
    return RefCoco(str(root / "finetune_refcoco_train.json"), image_root=str(root / "coco" / "train2014"), **options)


def read(source, unit_size=100):
    return [sample for unit in source.plan(unit_size) for sample in source.read(unit)]


def said(annotation, *phrases):
    return tuple(Detection(phrase, pytest.approx(BOXES[annotation]), 1.0) for phrase in phrases)


@pytest.mark.parametrize("form", FORMS)
def test_an_object_is_a_sample_with_all_that_is_said_of_it(root, form):
    shirt, vase, man = read(source(root, form))
    assert (shirt.key, vase.key, man.key) == (f"{name(581857)}_1719310", f"{name(581719)}_2154", f"{name(581857)}_1719311")
    assert shirt.detections == said(1719310, "navy blue shirt", "woman back in blue", "blue shirt")
    assert vase.detections == said(2154, "right most vase")
    assert man.detections == said(1719311, "man on left")
    assert (shirt.caption, shirt.turns, shirt.metadata["object"]) == ("", (), "1719310")
    assert [sample.images for sample in (shirt, vase)] == [
        {"image": picture(width=640, height=400)},
        {"image": picture(width=500, height=360)},
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_a_sample_with_all_its_objects(root, form):
    people, vase = read(source(root, form, per="image"))
    assert (people.key, vase.key) == (name(581857), name(581719))
    assert people.detections == said(1719310, "navy blue shirt", "woman back in blue", "blue shirt") + said(1719311, "man on left")
    assert vase.detections == said(2154, "right most vase")
    assert "object" not in people.metadata


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("per", ["object", "image"])
def test_every_unit_size_gives_the_same_samples_also_after_a_journey(root, form, per):
    one = source(root, form, per=per)
    wanted = read(one)
    sent = pickle.loads(pickle.dumps(one))
    for unit_size in (1, 2):
        assert [sample for unit in one.plan(unit_size) for sample in sent.read(unit)] == wanted
    assert len(one.fingerprint()) == 1


def test_numbers_in_many_rows_lead_to_the_right_pictures(root):
    rows = [picture_row(n, 60 + n, 50, 1000 + n, 6, 5, 12, 10, [f"thing {n}"]) for n in range(50)]
    write_table(root / "a.parquet", WITH_PICTURES, rows[:30], row_group_size=7)
    write_table(root / "b.parquet", WITH_PICTURES, [rows[3], *rows[30:]], row_group_size=100)
    found = read(RefCoco(f"{root}/{{a,b}}.parquet"), unit_size=11)
    assert [sample.detections[0].phrase for sample in found] == [f"thing {n}" for n in range(50)]  # row 3 comes twice and is one
    assert all(sample.images["image"] == picture(width=60 + n, height=50) for n, sample in enumerate(found))


@pytest.mark.parametrize("form", ["paths", "json"])  # the third one states no size
@pytest.mark.parametrize("per", ["object", "image"])
@pytest.mark.parametrize(("size", "same"), [((320, 200), True), ((640, 401), True), ((640, 402), False), ((400, 640), False)])
def test_a_picture_may_be_a_scaled_copy_and_nothing_else(root, form, per, size, same):
    (root / "coco" / "train2014" / f"{name(581857)}.jpg").write_bytes(picture(*size))
    found = read(source(root, form, per=per))
    changed = [sample for sample in found if sample.key.startswith(name(581857))]
    assert len(changed) == (2 if per == "object" else 1) and len(found) == len(changed) + 1
    if same:
        assert changed[0].detections[:3] == said(1719310, "navy blue shirt", "woman back in blue", "blue shirt")
    else:
        assert {sample.reason for sample in changed} == {"size_differs"}
        assert f"the picture has {size[0]} x {size[1]} pixels, which is no copy of the stated 640 x 400" in changed[0].message
    assert isinstance(next(sample for sample in found if sample not in changed), Sample)


def test_what_two_rows_say_of_one_object_comes_together_once(root):
    write_table(root / "x.parquet", WITH_PICTURES, [picture_row(*OBJECTS[0]), picture_row(*OBJECTS[0][:-1], ["blue shirt", "shirt"])])
    [sample] = read(RefCoco(str(root / "x.parquet")))
    assert sample.detections == said(1719310, "navy blue shirt", "woman back in blue", "blue shirt", "shirt")


@pytest.mark.parametrize(
    ("changed", "reason", "message"),
    [
        ({"bbox": [1.0, 2.0, 3.0]}, "bad_field", r"row 1: bbox: wants \[x0, y0, x1, y1\]"),
        ({"bbox": None}, "bad_field", r"row 1: bbox: wants \[x0, y0, x1, y1\], got None"),
        ({"bbox": [900.0, 2.0, 950.0, 9.0]}, "empty_box", r"row 1: nothing of bbox .* lies in the picture"),
        ({"captions": None}, "bad_field", r"row 1: captions is no list"),
        ({"captions": [" ", ""]}, "missing_phrase", r"row 1: captions says nothing"),
        ({"captions": ["a", None]}, "bad_field", r"row 1: captions is no text but None"),
        ({"raw_image_info": "{"}, "bad_field", r"row 1: raw_image_info is no JSON"),
        ({"raw_image_info": "[]"}, "bad_field", r"row 1: raw_image_info is no object"),
        ({"raw_image_info": '{"width": 3}'}, "bad_field", r"row 1: height is no number of pixels but None"),
        ({"image_path": None}, "bad_field", r"row 1: image_path is no text"),
        ({"image_path": "coco/train2014/gone.jpg"}, "missing_image", r"row 1: .*gone\.jpg: FileNotFoundError"),
    ],
)
def test_a_bad_row_with_a_path_fails_alone_and_is_named(root, changed, reason, message):
    write_table(root / "x.parquet", WITH_PATHS, [path_row(*OBJECTS[0]), path_row(*OBJECTS[1], **changed), path_row(*OBJECTS[2])])
    first, bad, last = read(RefCoco(str(root / "x.parquet")))
    assert isinstance(bad, BadSample) and bad.reason == reason
    assert re.search(r"x\.parquet: " + message, bad.message)
    assert isinstance(first, Sample) and isinstance(last, Sample)


@pytest.mark.parametrize(
    ("changed", "reason", "message"),
    [
        ({"image": {"bytes": None, "path": "x.jpg"}}, "missing_image", "row 1: no bytes in image"),
        ({"image": None}, "missing_image", "row 1: no bytes in image"),
        ({"image": {"bytes": b"<html>", "path": None}}, "not_an_image", "row 1: "),
        ({"bbox": [1.0, 2.0, -3.0, 4.0]}, "bad_field", "row 1: bbox: a side is below 0"),
        ({"answer": []}, "missing_phrase", "row 1: answer says nothing"),
        ({"question_id": None}, "bad_field", "row 1: question_id is no text"),
        ({"file_name": ""}, "bad_field", "row 1: file_name is no text"),
    ],
)
def test_a_bad_row_with_a_picture_fails_alone_and_is_named(root, changed, reason, message):
    write_table(
        root / "x.parquet", WITH_PICTURES, [picture_row(*OBJECTS[0]), picture_row(*OBJECTS[1], **changed), picture_row(*OBJECTS[2])]
    )
    first, bad, last = read(RefCoco(str(root / "x.parquet")))
    assert isinstance(bad, BadSample) and bad.reason == reason
    assert re.search(r"x\.parquet: " + message, bad.message)
    assert isinstance(first, Sample) and isinstance(last, Sample)


def test_a_text_that_is_no_utf8_fails_its_row_alone(root):
    rows = [path_row(*OBJECTS[0]), path_row(*OBJECTS[1])]
    table = pa.Table.from_pylist(rows, schema=WITH_PATHS)
    broken = pa.array([["good"], [b"caf\xe9"]], pa.list_(pa.binary()))
    texts = pa.ListArray.from_arrays(broken.offsets, pa.StringArray.from_buffers(2, *broken.values.buffers()[1:]))
    pq.write_table(table.set_column(table.schema.get_field_index("captions"), "captions", texts), root / "x.parquet")
    good, bad = read(RefCoco(str(root / "x.parquet")))
    assert (good.detections[0].phrase, bad.reason) == ("good", "text_not_utf8")
    assert bad.message.endswith("x.parquet: row 1: captions: caf\\xe9")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"annotations": []}, r"images\[0\]: its caption has 0 boxes; wants one"),
        ({"annotations": [{"image_id": 0, "bbox": [1, 2, 3, 4]}] * 2}, r"images\[0\]: its caption has 2 boxes; wants one"),
        ({"annotations": [{"image_id": 0, "bbox": [1, 2, 3]}]}, r"annotations\[0\]: bbox: wants \[x, y, width, height\]"),
        ({"annotations": [{"image_id": 0}]}, r"annotations\[0\]: bbox: wants"),
    ],
)
def test_a_bad_expression_fails_alone_and_is_named(root, changed, message):
    write_json(root / "x.json", OBJECTS[1:2], **changed)
    [bad] = read(RefCoco(str(root / "x.json"), image_root=str(root / "coco" / "train2014")))
    assert (bad.key, bad.reason) == ("row_0", "bad_field")
    assert re.search(r"x\.json:1: " + message, bad.message)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("refs(unc).p", b"\x80\x04", r"refs\(unc\)\.p: wants .parquet or .json; a pickle runs code"),
        ("x.csv", b"a,b", "wants .parquet or .json$"),
        ("x.parquet", b"PAR1", "no Parquet file"),
        ("x.json", b'{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}', "no referring expressions"),
        ("x.json", b'{"images": [{"file_name": "a.jpg"}]}', r"images\[0\]: wants an object with the image's id"),
        ("x.json", b"[]", "no JSON"),
    ],
)
def test_a_file_of_another_form_is_refused(root, file, content, message):
    (root / file).write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        SOURCES["refcoco"](str(root / file)).plan(10)


def test_a_table_of_another_form_is_refused_with_the_columns(root):
    pq.write_table(pa.table({"image": [b"x"], "bbox": [[1.0]]}), root / "x.parquet")
    with pytest.raises(
        RecipeError, match=r"wants the columns ann_id, bbox, captions, image_path, raw_image_info or .*there are image, bbox"
    ):
        RefCoco(str(root / "x.parquet")).plan(10)


def test_a_table_that_goes_away_is_a_failed_unit(root):
    one = source(root, "pictures")
    [unit] = one.plan(10)
    (root / "val.parquet").unlink()
    with pytest.raises(ShardError, match=r"val\.parquet"):
        list(one.read(unit))
