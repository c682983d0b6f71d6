"""Parquet tables with pictures in them: a column of bytes, or Hugging Face's struct {bytes, path}.

    image: struct<bytes: binary, path: string> | text: string | licence: string | ...
    jpg: binary | caption: string | url: string | ...

Every other scalar column goes into the sample's metadata. The key is a column that is named, or the row's number over all files, from 0.
"""

import datetime
import decimal
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Sample
from pipeline.sources.listing import list_inputs, sizes
from pipeline.sources.parquet_rows import iterate_rows, open_table
from pipeline.sources.text import as_key, escape
from pipeline.sources.unit import Unit, cut_into_units

IMAGE_COLUMNS = ("image", "jpg", "bytes", "png", "webp", "image_bytes", "img")  # looked for in this order
CAPTION_COLUMNS = ("caption", "text", "TEXT", "txt")
URL_COLUMNS = ("url", "URL")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column plays which part."""

    image: str
    caption: str  # empty: none
    key: str  # empty: none
    others: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name in (self.image, self.caption, self.key, *self.others) if name))


@dataclass(frozen=True)
class Parquet:
    """Every row of the files that `path` names."""

    path: str  # a file, a folder, a glob, {0..3}, several joined by "::"
    image_column: str = ""  # empty: the first of IMAGE_COLUMNS that is there
    caption_column: str = ""  # empty: the first of CAPTION_COLUMNS that is there; no caption without one
    key_column: str = ""  # empty: the row's number

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for path, num_rows in self._num_rows.items():
            units += cut_into_units(path, num_rows, unit_size, first_index=len(units))
        if not units:
            raise RecipeError(f"{self.path}: no row in {len(self._num_rows)} files")
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        paths = list(self._num_rows)
        first_row = sum(self._num_rows[path] for path in paths[: paths.index(unit.path)])
        stop = self._num_rows[unit.path] if unit.stop is None else unit.stop
        try:
            with open_table(unit.path) as file:
                columns = self._find_columns(file.schema_arrow, unit.path)
                for row, record in iterate_rows(file, columns.names, unit.start, stop):
                    yield _make_sample(record, columns, str(first_row + row))
        except (pa.ArrowException, OSError) as error:
            raise ShardError(f"{unit.path}: {error}") from error

    def fingerprint(self) -> dict[str, str]:
        return sizes(list(self._num_rows))

    @cached_property
    def _num_rows(self) -> dict[str, int]:
        """Rows by file, in order. Read once: it travels with the source to the workers."""
        found = {}
        for path in list_inputs(self.path, ending=".parquet"):
            try:
                with open_table(path) as file:
                    self._find_columns(file.schema_arrow, path)
                    found[path] = file.metadata.num_rows
            except (pa.ArrowException, OSError) as error:
                raise RecipeError(f"{path}: no Parquet file ({error})") from error
        return found

    def _find_columns(self, schema: pa.Schema, path: str) -> _Columns:
        for option, name in (("image_column", self.image_column), ("caption_column", self.caption_column), ("key_column", self.key_column)):
            if name and name not in schema.names:
                raise RecipeError(f"{path}: {option} '{name}' is no column; there are {', '.join(schema.names)}")
        image = self.image_column or next((n for n in IMAGE_COLUMNS if n in schema.names and _holds_pictures(schema.field(n).type)), "")
        if not image and any(name in schema.names for name in URL_COLUMNS):
            raise RecipeError(f"{path}: a table of URLs without pictures; downloading them is a step of its own, before this one")
        if not image:
            raise RecipeError(f"{path}: no column of pictures; name one by image_column, of {', '.join(schema.names)}")
        if not _holds_pictures(schema.field(image).type):
            raise RecipeError(f"{path}: image_column '{image}' is {schema.field(image).type}; wants binary or struct<bytes, path>")
        caption = self.caption_column or next((name for name in CAPTION_COLUMNS if name in schema.names), "")
        if caption and not _is_text(schema.field(caption).type):
            raise RecipeError(f"{path}: caption_column '{caption}' is {schema.field(caption).type}; wants string")
        others = (f.name for f in schema if f.name not in (image, caption, self.key_column) and _is_scalar(f.type))
        return _Columns(image, caption, self.key_column, tuple(others))


def _make_sample(record: dict[str, Any], columns: _Columns, number: str) -> Sample | BadSample:
    metadata: dict[str, Any] = {}
    bad_column = ""
    for name in columns.others:
        try:
            metadata[name] = _as_json(record[name])
        except UnicodeDecodeError:
            bad_column = name
    try:
        key = as_key(str(_as_json(record[columns.key]))) if columns.key else number
    except UnicodeDecodeError:
        return BadSample(escape(as_key(escape(record[columns.key]))), "name_not_utf8", f"row {number}, column {columns.key}", metadata)
    if columns.key and record[columns.key] in (None, b""):
        return BadSample(f"row_{number}", "missing_key", f"row {number} has no {columns.key}", metadata)
    if bad_column:
        return BadSample(key, "metadata_not_utf8", f"{bad_column}: {escape(record[bad_column])}"[:200], metadata)
    picture = record[columns.image]
    if isinstance(picture, dict):
        picture = picture["bytes"]
    if picture is None:
        return BadSample(key, "missing_image", f"row {number} has no bytes in {columns.image}", metadata)
    try:
        caption = _as_json(record[columns.caption]) or "" if columns.caption else ""
    except UnicodeDecodeError:
        return BadSample(key, "caption_not_utf8", escape(record[columns.caption])[:200], metadata)
    return Sample(key, caption, {"image": picture}, metadata=metadata)


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN, and pandas writes one where a value is missing
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return value


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_scalar(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return _is_text(kind) or bool(pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind))


def _holds_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_pictures(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
