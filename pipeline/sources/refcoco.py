"""RefCOCO, RefCOCO+ and RefCOCOg: what people call an object in a picture, and its box.

The forms that are read are drawn in refcoco_forms.py: tables of Hugging Face, with paths or with pictures in them, and MDETR's JSON.
Expressions of one object come together in one sample as detections with the same box; with `per` = "image" all objects of a picture do.
The key is the picture's name, "COCO_train2014_000000581857", and behind it the object's annotation id. An expression that two rows have is
taken once. A picture may be a scaled copy of what its record states; one of other proportions fails, for the boxes would lie elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Literal

import pyarrow as pa

from pipeline.errors import RecipeError, ShardError
from pipeline.images import PictureError, read_header
from pipeline.samples import BadSample, Detection, Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.coco_fields import as_fractions, check_size
from pipeline.sources.listing import list_inputs, sizes
from pipeline.sources.parquet_rows import iterate_rows, open_table
from pipeline.sources.refcoco_forms import Ref, read_refs
from pipeline.sources.text import as_key, escape
from pipeline.sources.unit import Unit, cut_into_units


@dataclass(frozen=True, slots=True)
class _Group:
    """What becomes one sample: objects of one picture, or a single record that is none."""

    key: str
    refs: tuple[Ref, ...]

    @property
    def first(self) -> Ref:
        return self.refs[0]


@dataclass(frozen=True)
class RefCoco:
    """Every object, or every picture, of the files that `path` names."""

    path: str  # .parquet or MDETR's .json; a folder of tables, a glob, {0..3}, several joined by "::"
    image_root: str = ""  # what pictures' paths are relative to: train2014, for jxu124's tables what holds coco/; empty: the file's folder
    per: Literal["object", "image"] = "object"  # what makes a sample: a task that draws one phrase a sample meets more of them by object

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for path, groups in self._groups.items():
            units += cut_into_units(path, len(groups), unit_size, first_index=len(units))
        if not units:
            raise RecipeError(f"{self.path}: no referring expression in {len(self._groups)} files")
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        groups = self._groups[unit.path][unit.start : unit.stop]
        for group, picture in zip(groups, self._read_pictures(unit.path, groups), strict=True):
            try:
                if isinstance(picture, BadRecord):
                    raise picture
                yield _make_sample(group, picture, self.per)
            except BadRecord as error:
                yield BadSample(group.key, error.reason, escape(error.message))

    def fingerprint(self) -> dict[str, str]:
        return sizes(list(self._groups))

    @cached_property
    def _groups(self) -> dict[str, list[_Group]]:
        """What becomes a sample, by the file of its first record. Read once: it travels with the source to the workers."""
        grouped: dict[tuple[str, ...], list[Ref]] = {}
        files: dict[tuple[str, ...], str] = {}
        number = 0
        for path in list_inputs(self.path, ending=".parquet"):
            for ref in read_refs(path):
                if ref.flaw:
                    identity: tuple[str, ...] = ("", f"row_{number}")
                else:
                    identity = (ref.stem, ref.name) if self.per == "object" else (ref.stem,)
                grouped.setdefault(identity, []).append(ref)
                files.setdefault(identity, path)
                number += 1
        groups: dict[str, list[_Group]] = {path: [] for path in list_inputs(self.path, ending=".parquet")}
        for identity, refs in grouped.items():
            groups[files[identity]].append(_Group(escape(as_key("_".join(filter(None, identity)))), tuple(refs)))
        return groups

    def _read_pictures(self, path: str, groups: list[_Group]) -> Iterator[bytes | BadRecord]:
        """The picture of each group, or what is wrong with it."""
        rows = [group.first.row for group in groups if group.first.row >= 0]
        if rows:
            yield from _pictures_in_table(path, groups, range(rows[0], rows[-1] + 1))
            return
        root = self.image_root or path.rpartition("/")[0]
        for ref in (group.first for group in groups):
            try:
                yield BadRecord(*ref.flaw) if ref.flaw else read_picture(root, ref.picture)
            except BadRecord as error:
                yield BadRecord(error.reason, f"{ref.where}: {error.message}")


def _pictures_in_table(path: str, groups: list[_Group], rows: range) -> Iterator[bytes | BadRecord]:
    try:
        with open_table(path) as file:
            records = iterate_rows(file, ["image"], rows.start, rows.stop)
            row = rows.start - 1
            for ref in (group.first for group in groups):
                if ref.flaw:
                    yield BadRecord(*ref.flaw)
                    continue
                found = next(islice(records, ref.row - row - 1, None), None)
                if found is None:
                    raise ShardError(f"{path}: row {ref.row} is gone")
                row, picture = ref.row, found[1]["image"]
                data = picture.get("bytes") if isinstance(picture, dict) else picture
                yield data if isinstance(data, bytes) else BadRecord("missing_image", f"{ref.where}: no bytes in image")
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path}: {error}") from error


def _make_sample(group: _Group, picture: bytes, per: str) -> Sample:
    first = group.first
    detections: dict[Detection, None] = {}
    for ref in group.refs:
        width, height = _size(picture, ref)
        box = as_fractions(ref.box, width, height)
        if box is not None:
            detections |= dict.fromkeys(Detection(phrase, box, 1.0) for phrase in ref.phrases)
    if not detections:
        raise BadRecord("empty_box", f"{first.where}: nothing of bbox {first.box} lies in the picture")
    metadata = {"file_name": first.picture, **({"object": first.name} if per == "object" else {})}
    return Sample(group.key, "", {"image": picture}, detections=tuple(detections), metadata=metadata)


def _size(picture: bytes, ref: Ref) -> tuple[int, int]:
    """The size that its box is meant for."""
    try:
        if ref.size:
            check_size(picture, ref.size)
            return ref.size
        header = read_header(picture)
    except (BadRecord, PictureError) as error:
        raise BadRecord(error.reason, f"{ref.where}: {error.message}") from error
    return header.width, header.height
