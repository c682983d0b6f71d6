"""Captions in a table beside pictures, as Hugging Face's imagefolder has them: `metadata.jsonl` or `metadata.csv`.

{"file_name": "cats/0001.jpg", "text": "a cat", "licence": "CC0"}
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import RecipeError
from pipeline.paths import read_bytes
from pipeline.sources.text import escape, smuggle

TABLE_NAMES = ("metadata.jsonl", "metadata.csv")


@dataclass(frozen=True, slots=True)
class Row:
    """What a table says of one picture. Texts may hold smuggled bytes (see text.py)."""

    where: str  # file and line, for messages
    file_name: str  # relative to the table
    text: Any  # the caption; None where the table has none
    metadata: Mapping[str, Any]  # every other field


def read_table(path: str) -> list[Row]:
    """Read a whole table.

    Raises:
        RecipeError: A line that does not parse or names no file; the message has its number.
    """
    text = smuggle(read_bytes(path))
    records = _csv_records(text, path) if path.endswith(".csv") else _json_records(text, path)
    rows = []
    for where, record in records:
        if not isinstance(record, dict) or not isinstance(record.get("file_name"), str):
            raise RecipeError(f'{where}: wants a record with a "file_name", got {escape(str(record))[:200]}')
        others = {key: value for key, value in record.items() if key not in ("file_name", "text")}
        rows.append(Row(where, record["file_name"], record.get("text"), others))
    return rows


def _json_records(text: str, path: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield f"{path}:{number}", json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{path}:{number}: no JSON ({error})") from error


def _csv_records(text: str, path: str) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for record in reader:
            if None in record or None in record.values():
                raise RecipeError(f"{path}:{reader.line_num}: not as many fields as the first line has")
            yield f"{path}:{reader.line_num}", record
    except csv.Error as error:
        raise RecipeError(f"{path}:{reader.line_num}: {error}") from error
