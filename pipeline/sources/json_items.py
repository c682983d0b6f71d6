"""Items of a JSON list or of JSON lines, one at a time: only a list's text is held in memory, never all that it says."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from pipeline.errors import RecipeError, ShardError
from pipeline.paths import open_fs
from pipeline.sources.text import smuggle

_SPACE = re.compile(r"[ \t\r\n]*")


def iterate_items(path: str, start: int, stop: int | None) -> Iterator[tuple[str, Any]]:
    """Items `start` to `stop`, each with its place ("data.json:17", by line).

    Texts may hold smuggled bytes (see text.py). A line of JSON lines that does not parse comes as the ValueError that says why: it costs
    itself alone. A list cannot be read past such a place.

    Raises:
        RecipeError: A list that does not parse, or a file that is neither.
        ShardError: The file cannot be read.
    """
    fs, bare = open_fs(path)
    try:
        with fs.open(bare, "rb") as file:
            head = file.read(4096)
            file.seek(0)
            items = _of_list(file, path) if smuggle(head).lstrip()[:1] == "[" else _of_lines(file, path)
            yield from ((f"{path}:{line}", item) for line, item in islice(items, start, stop))
    except OSError as error:
        raise ShardError(f"{path}: {error}") from error


def _of_lines(file: IO[bytes], path: str) -> Iterator[tuple[int, Any]]:
    first = True
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(smuggle(line))
        except (ValueError, RecursionError) as error:
            if first:
                raise RecipeError(f"{path}:{number}: neither a JSON list nor JSON lines ({error})") from error
            item = ValueError(str(error))
        first = False
        yield number, item


def _of_list(file: IO[bytes], path: str) -> Iterator[tuple[int, Any]]:
    text = smuggle(file.read())
    decode = json.JSONDecoder().raw_decode
    position = _skip(text, _skip(text, 0) + 1)
    line, counted = 1, 0  # newlines before `counted` are in `line`
    while text[position : position + 1] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            item, end = decode(text, position)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{path}:{getattr(error, 'lineno', line)}: no JSON ({error})") from error
        yield line, item
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            found = repr(text[position]) if position < len(text) else "the end of the file"
            raise RecipeError(f"{path}:{text.count(chr(10), 0, position) + 1}: no JSON (wants ',' or ']', found {found})")
    if rest := text[position + 1 :].strip():
        raise RecipeError(f"{path}:{text.count(chr(10), 0, position) + 1}: no JSON ({rest[:20]!r} after the list's end)")


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None  # it matches nothing at all, too
    return match.end()
