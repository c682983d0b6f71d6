"""MagicBrush's sessions in Parquet tables: rows side by side that have one img_id.

Tables are cut by rows, so a session may begin in one file and go on in the next.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Sample
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.edits import Edit, make_edit_sample
from pipeline.sources.item_files import item_key
from pipeline.sources.parquet_rows import iterate_rows, open_table
from pipeline.sources.text import as_key, escape
from pipeline.sources.unit import Unit

Row = tuple[str, int, dict[str, Any]]  # file, number, values by column


@dataclass(frozen=True, slots=True)
class Table:
    """Where sessions lie in a file."""

    num_rows: int
    starts: "array[int]"  # rows at which a session begins; what stands before the first one belongs to a file before


def find_tables(paths: Sequence[str], masks: bool) -> dict[str, Table]:
    """Where sessions begin. Only the column img_id is read.

    Raises:
        RecipeError: A file is no table, or lacks a column.
    """
    tables = {}
    last: Any = ()  # as no img_id is
    for path in paths:
        starts = array("Q")
        try:
            with open_table(path) as file:
                names = file.schema_arrow.names
                if missing := [name for name in _columns(masks) if name not in names]:
                    raise RecipeError(f"{path}: no column {', '.join(missing)}; there are {', '.join(names)}")
                for row, record in iterate_rows(file, ["img_id"], 0, file.metadata.num_rows):
                    if record["img_id"] != last:
                        starts.append(row)
                    last = record["img_id"]
                tables[path] = Table(file.metadata.num_rows, starts)
        except (pa.ArrowException, OSError) as error:
            raise RecipeError(f"{path}: no Parquet file ({error})") from error
    return tables


def read_table_sessions(tables: Mapping[str, Table], unit: Unit, masks: bool) -> Iterator[Sample | BadSample]:
    """The sessions of a unit, wherever they end.

    Raises:
        ShardError: A file cannot be read.
    """
    for _, rows in groupby(_iterate_rows(tables, unit, masks), key=lambda row: row[2]["img_id"]):
        yield _make_sample(list(rows), masks)


def _columns(masks: bool) -> list[str]:
    return ["img_id", "turn_index", "instruction", "source_img", "target_img", *(["mask_img"] if masks else [])]


def _iterate_rows(tables: Mapping[str, Table], unit: Unit, masks: bool) -> Iterator[Row]:
    table = tables[unit.path]
    stop = len(table.starts) if unit.stop is None else unit.stop
    if stop < len(table.starts):
        yield from _rows_of(unit.path, table.starts[unit.start], table.starts[stop], masks)
        return
    yield from _rows_of(unit.path, table.starts[unit.start], table.num_rows, masks)
    paths = list(tables)
    for path in paths[paths.index(unit.path) + 1 :]:  # the rest of the last session
        table = tables[path]
        yield from _rows_of(path, 0, table.starts[0] if table.starts else table.num_rows, masks)
        if table.starts:
            return


def _rows_of(path: str, start: int, stop: int, masks: bool) -> Iterator[Row]:
    if start == stop:
        return
    try:
        with open_table(path) as file:
            for number, record in iterate_rows(file, _columns(masks), start, stop):
                yield path, number, record
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path}: {error}") from error


def _make_sample(rows: Sequence[Row], masks: bool) -> Sample | BadSample:
    path, number, first = rows[0]
    name = first["img_id"]
    if name in (None, b""):
        return BadSample(item_key(path, number, num_folders=0), "missing_key", f"{path}, row {number}: no img_id")
    key = escape(as_key(escape(name) if isinstance(name, bytes) else str(name)))
    before: Any = first["source_img"]
    edits = []
    for due, (path, number, row) in enumerate(rows, start=1):
        try:
            if row["turn_index"] != due:
                raise BadRecord("bad_turns", f"turn_index is {row['turn_index']!r} where {due} is due")
            if not _is_same(row["source_img"], before):
                raise BadRecord("bad_turns", "source_img is not the target_img of the turn before")
            mask = _read_picture(row, "mask_img") if masks else None
            edits.append(Edit(_read_text(row, "instruction"), _read_picture(row, "target_img"), mask))
            before = row["target_img"]
            if due == 1:
                picture = _read_picture(row, "source_img")
        except BadRecord as error:
            return BadSample(key, error.reason, escape(f"{path}, row {number}: {error.message}"))
    return make_edit_sample(key, picture, edits, {})


def _is_same(picture: Any, other: Any) -> bool:
    """Whether two cells hold the same picture: byte for byte, or by the name of its file."""
    if picture == other:
        return True
    if not isinstance(picture, dict) or not isinstance(other, dict):
        return False
    return any(picture.get(field) is not None and picture[field] == other.get(field) for field in ("bytes", "path"))


def _read_picture(row: Mapping[str, Any], column: str) -> bytes:
    cell = row[column]
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None:
        raise BadRecord("missing_image", f"no bytes in {column}")
    if not isinstance(data, bytes):
        raise BadRecord("bad_field", f"{column} holds no picture but {data!r}"[:200])
    return data


def _read_text(row: Mapping[str, Any], column: str) -> str:
    text = row[column]
    if not isinstance(text, bytes) or not text.strip():
        raise BadRecord("bad_field", f"{column} is no text but {text!r}"[:200])
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise BadRecord("text_not_utf8", f"{column}: {escape(text)}"[:200]) from error
