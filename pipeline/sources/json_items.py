"""Items of a JSON list or of JSON lines, one at a time; where each of them lies, so that a worker reads its own alone.

[{...}, {...}]            a list, as long as it may be
{...}                     JSON lines
{...}
"""

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from pipeline.errors import RecipeError, ShardError
from pipeline.paths import open_fs
from pipeline.sources.json_stream import JsonReader, iterate_list
from pipeline.sources.text import smuggle

_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Places:
    """Where the items of a file lie: 12 bytes an item."""

    offsets: "array[int]"  # bytes from the file's start; one more than there are items: where the last one ends at the latest
    lines: "array[int]"  # from 1
    is_list: bool

    def __len__(self) -> int:
        return len(self.lines)


def find_items(path: str) -> Places:
    """Read a file once and note where its items lie.

    Raises:
        RecipeError: A list that does not parse, or a file that is neither.
        ShardError: The file cannot be read.
    """
    offsets, lines = array("Q"), array("L")
    fs, bare = open_fs(path)
    try:
        with fs.open(bare, "rb") as file:
            is_list = _holds_list(file)
            for offset, line, _ in _of_list(file, path) if is_list else _of_lines(file, path):
                offsets.append(offset)
                lines.append(line)
            offsets.append(file.seek(0, 2))
    except OSError as error:
        raise ShardError(f"{path}: {error}") from error
    return Places(offsets, lines, is_list)


def read_items(path: str, places: Places, start: int, stop: int) -> Iterator[tuple[str, Any]]:
    """Items `start` to `stop`, each with its place ("data.json:17", by line), without reading what stands before.

    Texts may hold smuggled bytes (see text.py). A line of JSON lines that does not parse comes as the ValueError that says why: it costs
    itself alone.

    Raises:
        ShardError: The file cannot be read.
    """
    fs, bare = open_fs(path)
    try:
        with fs.open(bare, "rb") as file:
            file.seek(places.offsets[start])
            for number in range(start, stop):
                text = smuggle(file.read(places.offsets[number + 1] - places.offsets[number]))
                try:
                    item = _decode(text)[0] if places.is_list else json.loads(text)
                except (ValueError, RecursionError) as error:
                    item = ValueError(str(error))
                yield f"{path}:{places.lines[number]}", item
    except OSError as error:
        raise ShardError(f"{path}: {error}") from error


def _holds_list(file: IO[bytes]) -> bool:
    head = smuggle(file.read(4096))
    file.seek(0)
    return head.lstrip()[:1] == "["


def _of_lines(file: IO[bytes], path: str) -> Iterator[tuple[int, int, Any]]:
    first, offset = True, 0
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                item = json.loads(smuggle(line))
            except (ValueError, RecursionError) as error:
                if first:
                    raise RecipeError(f"{path}:{number}: neither a JSON list nor JSON lines ({error})") from error
                item = ValueError(str(error))
            first = False
            yield offset, number, item
        offset += len(line)


def _of_list(file: IO[bytes], path: str) -> Iterator[tuple[int, int, Any]]:
    reader = JsonReader(file, path)
    yield from iterate_list(reader)
    reader.finish("list")
