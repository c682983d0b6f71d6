"""A folder of pictures: captions from `.txt` files beside them, or from Hugging Face's imagefolder tables.

    pictures/cats/0001.jpg        key "cats/0001"
    pictures/cats/0001.txt        its caption
    pictures/metadata.jsonl       {"file_name": "cats/0001.jpg", "text": "a cat", "licence": "CC0"}     or metadata.csv

A table may lie in any folder of the tree; `file_name` is relative to it. As Hugging Face does, the nearest table above a picture is the one
that counts, and its row wins over a `.txt` (which Hugging Face does not know). Unlike there, a picture without a row is a sample too.
"""

import hashlib
import json
import posixpath
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import RecipeError
from pipeline.paths import join, open_fs
from pipeline.samples import BadSample, Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.listing import PICTURE_ENDINGS
from pipeline.sources.text import as_key, decode_caption, escape, is_clean
from pipeline.sources.text_tables import TABLE_NAMES, Row, read_table
from pipeline.sources.unit import Unit, cut_into_units


@dataclass(frozen=True, slots=True)
class _Record:
    """One line of the folder's list: a picture, or what is wrong with it."""

    name: str  # path below the root
    key: str
    row: Row | None = None
    reason: str = ""  # why it is no sample; empty when it may be one
    message: str = ""


@dataclass(frozen=True)
class Folder:
    """Every picture below `path`, sorted by its path."""

    path: str

    def plan(self, unit_size: int) -> list[Unit]:
        if not self._records:
            endings = " ".join(sorted(PICTURE_ENDINGS))
            raise RecipeError(f"{self.path}: no picture below this folder (endings: {endings})")
        return cut_into_units(self.path, len(self._records), unit_size)

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        for record in self._records[unit.start : unit.stop]:
            yield BadSample(record.key, record.reason, record.message) if record.reason else self._read_sample(record)

    def fingerprint(self) -> dict[str, str]:
        folders = defaultdict(list)
        for name, num_bytes in self._sizes.items():
            folders[posixpath.dirname(name)].append((escape(name), num_bytes))
        return {
            join(self.path, escape(folder)).rstrip("/"): f"{len(files)} files, {sum(n for _, n in files)} bytes, {_digest(files)}"
            for folder, files in sorted(folders.items())
        }

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Bytes by path below the root, sorted. Listed once: the list travels with the source to the workers."""
        fs, root = open_fs(self.path)
        if not fs.isdir(root):
            raise RecipeError(f"{self.path}: no such folder")
        fs.invalidate_cache(root)
        found = fs.find(root, detail=True)
        return {posixpath.relpath(name, root): int(found[name]["size"] or 0) for name in sorted(found)}

    @cached_property
    def _records(self) -> list[_Record]:
        rows = self._read_tables()
        pictures = {name for name in self._sizes if _ending(name) in PICTURE_ENDINGS}
        records: list[_Record] = []
        first_of: dict[str, str] = {}  # key -> the file that took it
        for name in sorted(pictures | rows.keys()):
            key = escape(as_key(posixpath.splitext(name)[0]))
            row, *again = rows.get(name, [None])
            if name not in self._sizes:
                records.append(_Record(name, key, row, "missing_file", f"{row and row.where} names {escape(name)}, which is not there"))
            elif not is_clean(name):
                records.append(_Record(name, key, row, "name_not_utf8", escape(name)))
            elif key in first_of:
                records.append(_Record(name, key, row, "duplicate_key", f"{name} and {first_of[key]} have the same key"))
            else:
                first_of[key] = name
                records.append(_Record(name, key, row))
            records += [_Record(name, key, r, "duplicate_key", f"{r.where} names {escape(name)} again") for r in again if r]
        return records

    def _read_tables(self) -> dict[str, list[Row | None]]:
        """Rows by picture: those of the nearest table above it, more than one where that table names it again."""
        rows: dict[str, list[Row | None]] = {}
        tables = [name for name in self._sizes if posixpath.basename(name) in TABLE_NAMES]
        folders = [posixpath.dirname(name) for name in tables]
        if (twice := next((folder for folder in folders if folders.count(folder) > 1), None)) is not None:
            raise RecipeError(f"{join(self.path, twice)}: holds both {' and '.join(TABLE_NAMES)}; which one counts?")
        for table in sorted(tables, key=lambda name: name.count("/")):  # nearer ones later: they replace
            folder = posixpath.dirname(table)
            named_here: dict[str, list[Row | None]] = defaultdict(list)
            for row in read_table(join(self.path, table)):
                named_here[posixpath.normpath(posixpath.join(folder, row.file_name))].append(row)
            rows.update(named_here)
        return rows

    def _read_sample(self, record: _Record) -> Sample | BadSample:
        try:
            picture = read_picture(self.path, record.name)
            caption = self._read_caption(record)
        except BadRecord as error:
            return BadSample(record.key, "unreadable_file", escape(error.message))
        except UnicodeDecodeError as error:
            return BadSample(record.key, "caption_not_utf8", escape(bytes(error.object))[:200])
        metadata = record.row.metadata if record.row else {}
        if not isinstance(caption, str):
            return BadSample(record.key, "bad_field", f"{record.row and record.row.where}: text is no string but {caption!r}")
        if not is_clean(caption):
            return BadSample(record.key, "caption_not_utf8", escape(caption)[:200])
        if not is_clean(dict(metadata)):
            return BadSample(record.key, "metadata_not_utf8", escape(str(metadata))[:200])
        return Sample(record.key, caption, {"image": picture}, metadata=metadata)

    def _read_caption(self, record: _Record) -> Any:
        if record.row and record.row.text is not None:
            return record.row.text
        beside = posixpath.splitext(record.name)[0] + ".txt"
        return decode_caption(read_picture(self.path, beside)) if beside in self._sizes else ""


def _ending(name: str) -> str:
    return posixpath.splitext(name)[1].lower().removeprefix(".")


def _digest(files: list[tuple[str, int]]) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
