"""JSON of any length, value by value: a file of gigabytes is read in pieces, and only the value at hand is held.

    reader = JsonReader(file, path)
    for offset, line, item in iterate_list(reader): ...        [item, item, ...]
    for name, where, item in iterate_lists(path): ...          {"images": [item, ...], "info": {...}, "annotations": [item, ...]}

Texts may hold smuggled bytes (see text.py). A file that is no JSON is refused with its line.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from pipeline.errors import RecipeError, ShardError
from pipeline.paths import open_fs

PIECE = 1 << 22  # bytes that are read at a time
NEAR = 16  # characters: a text that is cut off there may fail this far before its end ("-Infinity", "\ud83d")
NUMBER = "+-.0123456789eE"  # what a number may go on with in the next piece: of 2.5e-3 there may be 2 and a point yet

_SPACE = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


class JsonReader:
    """A place in a JSON text that moves on, value by value."""

    def __init__(self, file: IO[bytes], path: str):
        self.offset = 0  # bytes before the place
        self.line = 1
        self._file = file
        self._path = path
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0  # the place, in _text
        self._ended = False  # whether _text reaches to the file's end
        while not self._text and not self._ended:
            self._grow()
        if self._text.startswith("\ufeff"):
            self._move_to(1)

    def peek(self) -> str:
        """The next character that is no space, which is where the place is then; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._move_to(match.end() if match else self._at)
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._grow()

    def take(self, wanted: str) -> str:
        """Move on over one of some characters.

        Raises:
            RecipeError: Something else stands there.
        """
        found = self.peek()
        if not found or found not in wanted:
            shown = repr(found) if found else "the end of the file"
            raise RecipeError(f"{self._path}:{self.line}: no JSON (wants {' or '.join(map(repr, wanted))}, found {shown})")
        self._move_to(self._at + 1)
        return found

    def value(self) -> Any:
        """The value that stands here.

        Raises:
            RecipeError: None does.
        """
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._ended or not self._may_be_cut(error):
                    place = max(getattr(error, "pos", self._at), self._at)
                    line = self.line + self._text.count("\n", self._at, place)
                    raise RecipeError(f"{self._path}:{line}: no JSON ({getattr(error, 'msg', error)})") from error
            else:
                after = self._text[end : end + 1]
                if self._ended or (after and after not in NUMBER):
                    self._move_to(end)
                    return value
            self._grow()

    def finish(self, what: str) -> None:
        """See that nothing follows on what was read: a "list" or an "object".

        Raises:
            RecipeError: Something does.
        """
        if self.peek():
            rest = self._text[self._at : self._at + 20]
            raise RecipeError(f"{self._path}:{self.line}: no JSON ({rest!r} after the {what}'s end)")

    def _may_be_cut(self, error: Exception) -> bool:
        """Whether a value fails only because its rest is not read yet."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - NEAR

    def _grow(self) -> None:
        """Read on: as much again as is held, so that a long value is not tried too often."""
        data = self._file.read(max(PIECE, len(self._text) - self._at))
        self._ended = not data
        self._text = self._text[self._at :] + self._utf8.decode(data, final=self._ended)
        self._at = 0

    def _move_to(self, place: int) -> None:
        passed = self._text[self._at : place]
        self.offset += len(passed) if passed.isascii() else len(passed.encode("utf-8", "surrogateescape"))
        self.line += passed.count("\n")
        self._at = place


def iterate_list(reader: JsonReader) -> Iterator[tuple[int, int, Any]]:
    """Items of the list that stands here, each with the byte and the line at which it begins.

    Raises:
        RecipeError: It is no list, or does not parse.
    """
    reader.take("[")
    if reader.peek() == "]":
        reader.take("]")
        return
    while True:
        reader.peek()
        offset, line = reader.offset, reader.line
        yield offset, line, reader.value()
        if reader.take(",]") == "]":
            return


def iterate_lists(path: str) -> Iterator[tuple[str, str, Any]]:
    """Items of all lists of the object that a file holds, each with its list's name and its place ("a.json:1: images[17]").

    What is no list is passed over.

    Raises:
        RecipeError: The file holds no object, or does not parse.
        ShardError: The file cannot be read.
    """
    fs, bare = open_fs(path)
    try:
        with fs.open(bare, "rb") as file:
            reader = JsonReader(file, path)
            reader.take("{")
            mark = reader.take("}") if reader.peek() == "}" else ","
            while mark == ",":
                name = str(reader.value())
                reader.take(":")
                if reader.peek() == "[":
                    for number, (_, line, item) in enumerate(iterate_list(reader)):
                        yield name, f"{path}:{line}: {name}[{number}]", item
                else:
                    reader.value()
                mark = reader.take(",}")
            reader.finish("object")
    except OSError as error:
        raise ShardError(f"{path}: {error}") from error
