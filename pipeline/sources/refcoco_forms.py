"""Referring expressions in the forms in which RefCOCO, RefCOCO+ and RefCOCOg are passed on.

    jxu124/refcoco*.parquet    image_path: "coco/train2014/COCO_train2014_000000581857.jpg" | bbox: [x0, y0, x1, y1] | captions: [string]
                               | raw_image_info: '{"width": 640, "height": 427, ...}' | ann_id | ref_id | file_name | raw_anns | ...
    lmms-lab/RefCOCO*.parquet  image: struct<bytes, path> | bbox: [x, y, width, height] | answer: [string] | question_id: string
                               | file_name: "COCO_train2014_000000296747_0.jpg" | segmentation | iscrowd | question
    finetune_refcoco*.json     {"images": [{"id": 0, "file_name": "COCO_train2014_000000581857.jpg", "width": 640, "height": 427,
                                            "caption": "navy blue shirt", "original_id": 581857, ...}, ...],
                                "annotations": [{"image_id": 0, "bbox": [x, y, width, height], "original_id": 1719310, ...}, ...], ...}

Boxes are in pixels; mind that one form has corners and the others sides. A row of a table is an object with all that was said of it, an
image of the JSON is one expression. The official `refs(unc).p` is a pickle, which runs code when it is loaded: it is refused, these are
conversions of it. To convert one yourself, where nothing can be harmed: ashkamath/mdetr, scripts/fine-tuning/refexp_coco_format.py.

Source: dataset cards of huggingface.co/datasets/jxu124/refcoco (refcocoplus, refcocog) and lmms-lab/RefCOCO (RefCOCOplus, RefCOCOg);
MDETR's mdetr_annotations, as that script writes them; github.com/lichengunc/refer (the official form).
"""

import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RecipeError, ShardError
from pipeline.sources import coco_fields
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.coco_fields import PixelBox
from pipeline.sources.json_stream import iterate_lists
from pipeline.sources.parquet_rows import open_table
from pipeline.sources.text import smuggle

CORNERS, SIDES = "image_path", "image"  # the column that only this form has
COLUMNS = {
    CORNERS: ("image_path", "bbox", "captions", "raw_image_info", "ann_id"),
    SIDES: ("file_name", "bbox", "answer", "question_id"),  # and `image`, which is not read while planning
}
_OFFICIAL_NAME = re.compile(r"(.*_\d{12})_\d+")  # a picture's name with an object's number behind it


@dataclass(frozen=True, slots=True)
class Ref:
    """An object in a picture, and what it is called."""

    where: str  # file, and row or line
    picture: str = ""  # its file, or what it is called where it lies in the row
    name: str = ""  # of the object, within the picture
    phrases: tuple[str, ...] = ()
    box: PixelBox = (0.0, 0.0, 0.0, 0.0)
    size: tuple[int, int] | None = None  # width and height, pixels; None: the picture's header says it
    row: int = -1  # of the table, where the picture lies in it
    flaw: tuple[str, str] | None = None  # reason and message: why it is none

    @property
    def stem(self) -> str:
        """The picture's name: COCO_train2014_000000581857."""
        stem = posixpath.splitext(posixpath.basename(self.picture))[0]
        match = _OFFICIAL_NAME.fullmatch(stem)
        return match[1] if match else stem


def read_refs(path: str) -> list[Ref]:
    """All objects of a file, in order.

    Raises:
        RecipeError: It has none of the forms.
        ShardError: It cannot be read.
    """
    if path.endswith(".parquet"):
        return _of_table(path)
    if path.endswith(".json"):
        return list(_of_json(path))
    hint = "; a pickle runs code when it is loaded: convert it first" if path.endswith((".p", ".pkl", ".pickle")) else ""
    raise RecipeError(f"{path}: wants .parquet or .json{hint}")


def _of_table(path: str) -> list[Ref]:
    try:
        with open_table(path) as file:
            form = next((form for form, names in COLUMNS.items() if {form, *names} <= set(file.schema_arrow.names)), None)
            if form is None:
                wanted = " or ".join(", ".join(sorted({form, *names})) for form, names in COLUMNS.items())
                raise RecipeError(f"{path}: wants the columns {wanted}; there are {', '.join(file.schema_arrow.names)}")
            return [_of_row(f"{path}: row {row}", record, form, row) for row, record in enumerate(_records(file, COLUMNS[form]))]
    except pa.ArrowInvalid as error:
        raise RecipeError(f"{path}: no Parquet file ({error})") from error
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path}: {error}") from error


def _records(file: pq.ParquetFile, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(1024, columns=list(columns), use_threads=False):
        arrays = [array.cast(_with_bytes(array.type)) for array in batch.columns]  # a text that is no UTF-8 would stop the whole batch
        yield from pa.RecordBatch.from_arrays(arrays, names=batch.schema.names).to_pylist()


def _with_bytes(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_with_bytes(kind.value_type))
    return pa.binary() if pa.types.is_string(kind) or pa.types.is_large_string(kind) else kind


def _of_row(where: str, record: dict[str, Any], form: str, row: int) -> Ref:
    values = {name: _as_text(value) for name, value in record.items()}
    try:
        if form == SIDES:
            picture, name, said = coco_fields.text(values, "file_name"), coco_fields.text(values, "question_id"), values["answer"]
            return Ref(where, picture, name, _phrases(said, "answer"), coco_fields.corners(values["bbox"]), row=row)
        picture, name = coco_fields.text(values, "image_path"), str(values["ann_id"])
        x0, y0, x1, y1 = coco_fields.numbers(values["bbox"], 4, "bbox: wants [x0, y0, x1, y1]")
        size = coco_fields.size(_raw_image_info(values["raw_image_info"]))
        return Ref(where, picture, name, _phrases(values["captions"], "captions"), (x0, y0, x1, y1), size)
    except BadRecord as error:
        return Ref(where, flaw=(error.reason, f"{where}: {error.message}"))


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return smuggle(value) if isinstance(value, bytes) else value


def _raw_image_info(text: Any) -> dict[str, Any]:
    try:
        info = json.loads(text or "")
    except (ValueError, RecursionError, TypeError) as error:
        raise BadRecord("bad_field", f"raw_image_info is no JSON ({error})") from error
    if not isinstance(info, dict):
        raise BadRecord("bad_field", f"raw_image_info is no object but {info!r}"[:200])
    return info


def _phrases(said: Any, field: str) -> tuple[str, ...]:
    """What is said, without blank ones: a few are published."""
    if not isinstance(said, list):
        raise BadRecord("bad_field", f"{field} is no list of texts but {said!r}"[:200])
    found = tuple(coco_fields.text({field: one}, field).strip() for one in said if one is None or one.strip())
    if not found:
        raise BadRecord("missing_phrase", f"{field} says nothing")
    return found


def _of_json(path: str) -> Iterator[Ref]:
    images: list[tuple[str, dict[str, Any]]] = []
    boxes: defaultdict[Any, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    wanted = ("id", "file_name", "width", "height", "caption", "image_id", "bbox", "original_id")
    for name, where, item in iterate_lists(path):
        if name in ("images", "annotations"):
            if not isinstance(item, dict) or not isinstance(item.get("id" if name == "images" else "image_id"), int | str):
                raise RecipeError(f"{where}: wants an object with the image's id, got {str(item)[:100]}")
            kept = {field: item[field] for field in wanted if field in item}
            if name == "images":
                images.append((where, kept))
            else:
                boxes[item["image_id"]].append((where, kept))
    if not images or not any("caption" in image for _, image in images):
        raise RecipeError(f'{path}: no referring expressions: wants "images" with captions, as in finetune_refcoco_train.json')
    for where, image in images:
        yield _of_image(where, image, boxes[image["id"]])


def _of_image(where: str, image: dict[str, Any], boxes: list[tuple[str, dict[str, Any]]]) -> Ref:
    try:
        picture, phrase, size = coco_fields.text(image, "file_name"), coco_fields.text(image, "caption").strip(), coco_fields.size(image)
        if len(boxes) != 1:
            raise BadRecord("bad_field", f"its caption has {len(boxes)} boxes; wants one, as in finetune_refcoco_train.json")
        [(where, annotation)] = boxes
        name = str(annotation.get("original_id", image["id"]))
        return Ref(where, picture, name, (phrase,), coco_fields.corners(annotation.get("bbox")), size)
    except BadRecord as error:
        return Ref(where, flaw=(error.reason, f"{where}: {error.message}"))
