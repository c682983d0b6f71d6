"""An annotation file of COCO, read once and kept small: numbers lie in arrays, outlines are dropped.

    {"info": {...}, "licenses": [...],
     "images": [{"id": 397133, "file_name": "000000397133.jpg", "width": 640, "height": 427, "license": 4, "coco_url": ..., ...}, ...],
     "annotations": [
       {"id": 82445, "image_id": 397133, "category_id": 44, "bbox": [x, y, width, height], "iscrowd": 0, "area": 1.5, "segmentation": ...},
       {"id": 183126, "image_id": 425226, "category_id": 1, "bbox": [...], "iscrowd": 0, "num_keypoints": 10, "keypoints": [x, y, v, ...]},
       {"id": 38, "image_id": 179765, "caption": "A black Honda motorcycle parked in front of a garage."}, ...],
     "categories": [{"id": 44, "name": "bottle", "supercategory": "kitchen"}, ...]}

The lists may stand in any order, each may be missing but `images`. The 448 MB of instances_train2017.json become some 75 MB, in about 15
seconds.

Source: cocodataset.org/#format-data; github.com/cocodataset/cocoapi, PythonAPI/pycocotools/coco.py (the files' structure).
"""

from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import RecipeError
from pipeline.paths import exists
from pipeline.sources import coco_fields
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.json_stream import iterate_lists
from pipeline.sources.text import escape, is_clean

NUM_POINTS = 17  # of a person
ImageId = int | str


@dataclass(frozen=True, slots=True)
class Picture:
    """One of `images`."""

    where: str  # file, line and number in the list
    name: str = ""  # file_name
    width: int = 0  # pixels
    height: int = 0  # pixels
    metadata: Mapping[str, Any] = field(default_factory=dict)  # image_id, license, coco_url, ...
    flaw: tuple[str, str] | None = None  # reason and message: why it is no sample


def _rows() -> defaultdict[ImageId, list[int]]:
    return defaultdict(list)


@dataclass(frozen=True, slots=True)
class CocoTable:
    """What a file says, by the image's id. Crowds, and persons without a labelled point, are left out."""

    pictures: dict[ImageId, Picture] = field(default_factory=dict)
    box_rows: defaultdict[ImageId, list[int]] = field(default_factory=_rows)
    boxes: "array[float]" = field(default_factory=lambda: array("d"))  # 4 a row: x0, y0, x1, y1, pixels
    labels: "array[int]" = field(default_factory=lambda: array("q"))  # category's id, one a row of boxes
    label_places: dict[int, str] = field(default_factory=dict)  # category's id -> the first annotation that has it
    names: dict[int, str] = field(default_factory=dict)  # category's id -> its name
    pose_rows: defaultdict[ImageId, list[int]] = field(default_factory=_rows)
    poses: "array[float]" = field(default_factory=lambda: array("f"))  # 51 a row: x, y, v
    captions: defaultdict[ImageId, list[str]] = field(default_factory=lambda: defaultdict(list))
    flaws: dict[ImageId, tuple[str, str]] = field(default_factory=dict)  # reason and message of an image's first bad annotation


def read_table(path: str) -> CocoTable:
    """Read a file. Annotations of images that `images` lacks are kept, for another file may have them.

    Raises:
        RecipeError: It is not there, is no such JSON, or names no image.
        ShardError: It cannot be read.
    """
    if not exists(path):
        raise RecipeError(f"{path}: no such file")
    table = CocoTable()
    for name, where, item in iterate_lists(path):
        if name in ("images", "annotations", "categories") and not isinstance(item, dict):
            raise RecipeError(f"{where}: wants an object, got {str(item)[:100]}")
        if name == "images":
            _add_picture(table, where, item)
        elif name == "annotations":
            _add_annotation(table, where, item)
        elif name == "categories":
            _add_category(table, where, item)
    if not table.pictures:
        raise RecipeError(f'{path}: no annotations of COCO: "images" is missing or empty')
    for image_id, rows in table.box_rows.items():
        unknown = next((table.labels[row] for row in rows if table.labels[row] not in table.names), None)
        if unknown is not None:
            message = f"{table.label_places[unknown]}: category_id {unknown}, here for the first time, is none of the categories"
            table.flaws.setdefault(image_id, ("bad_field", message))
    return table


def _add_picture(table: CocoTable, where: str, item: dict[str, Any]) -> None:
    image_id = _image_id(item, "id", where)
    if image_id in table.pictures:
        raise RecipeError(f"{where}: image {image_id!r} is there twice")
    name = ""
    try:
        name = coco_fields.text(item, "file_name")
        width, height = coco_fields.size(item)
        metadata = {"image_id": image_id, **coco_fields.scalars(item, ("id", "file_name", "width", "height"))}
        table.pictures[image_id] = Picture(where, name, width, height, metadata)
    except BadRecord as error:
        table.pictures[image_id] = Picture(where, name, flaw=(error.reason, f"{where}: {error.message}"))


def _add_annotation(table: CocoTable, where: str, item: dict[str, Any]) -> None:
    image_id = _image_id(item, "image_id", where)
    try:
        if not {"bbox", "keypoints", "caption"} & item.keys():
            raise BadRecord("bad_field", "holds neither bbox nor keypoints nor caption")
        if "caption" in item:
            table.captions[image_id].append(coco_fields.text(item, "caption"))
        if item.get("iscrowd"):
            return
        if "bbox" in item:
            box = coco_fields.corners(item["bbox"])
            if type(item.get("category_id")) is not int:
                raise BadRecord("bad_field", f"category_id is no number but {item.get('category_id')!r}"[:200])
            table.box_rows[image_id].append(len(table.labels))
            table.labels.append(item["category_id"])
            table.label_places.setdefault(item["category_id"], where)
            table.boxes.extend(box)
        if "keypoints" in item:
            points = coco_fields.numbers(item["keypoints"], 3 * NUM_POINTS, f"keypoints: wants {NUM_POINTS} times x, y, v")
            if not set(points[2::3]) <= {0, 1, 2}:
                raise BadRecord("bad_field", f"keypoints: v is 0, 1 or 2, got {sorted(set(points[2::3]))}")
            if any(points[2::3]):
                table.pose_rows[image_id].append(len(table.poses) // len(points))
                table.poses.extend(points)
    except BadRecord as error:
        table.flaws.setdefault(image_id, (error.reason, f"{where}: {error.message}"))


def _add_category(table: CocoTable, where: str, item: dict[str, Any]) -> None:
    if type(item.get("id")) is not int:
        raise RecipeError(f"{where}: id is no number but {str(item.get('id'))[:100]}")
    try:
        table.names[item["id"]] = coco_fields.text(item, "name")
    except BadRecord as error:
        raise RecipeError(f"{where}: {error.message}") from error


def _image_id(item: dict[str, Any], name: str, where: str) -> ImageId:
    value = item.get(name)
    if not isinstance(value, int | str) or isinstance(value, bool) or not is_clean(str(value)):
        raise RecipeError(f"{where}: {name} is neither a number nor a text but {escape(str(value)[:100])}")
    return value
