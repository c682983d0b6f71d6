"""Dialogues in the reference's JSON: one list of items, or JSON lines.

    [{"conversations": [{"from": "human", "value": "Depth estimation. <|image|>"}, {"from": "gpt", "value": "<|image|>"}],
      "image": ["a.png", "b.png"], "id": "7"}, ...]

Pictures stand where "<|image|>" does, in order. If no turn names one, all of them stand in front of the first turn. Texts keep their spaces
to the letter: token ids depend on them. Items without `image` are text only.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import RecipeError, ShardError
from pipeline.paths import join, open_fs
from pipeline.samples import IMAGE_MARK, BadSample, ImageRef, Sample, Turn
from pipeline.sources.json_items import iterate_items
from pipeline.sources.listing import list_inputs, sizes
from pipeline.sources.text import as_key, escape, is_clean
from pipeline.sources.unit import Unit, cut_into_units

SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
PARTS = ("conversations", "image", "id")  # of an item; every other scalar field is metadata


class _BadItem(Exception):
    """This item is no sample."""

    def __init__(self, reason: str, message: str):
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Conversations:
    """Every item of the files that `path` names."""

    path: str  # a file, a folder of .json files, a glob, {0..3}, several joined by "::"
    image_root: str = ""  # what pictures' paths are relative to; empty: the folder of the file that names them

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for path, num_items in self._num_items.items():
            units += cut_into_units(path, num_items, unit_size, first_index=len(units))
        if not units:
            raise RecipeError(f"{self.path}: no item in {len(self._num_items)} files")
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        paths = list(self._num_items)
        first_item = sum(self._num_items[path] for path in paths[: paths.index(unit.path)])
        for number, (where, item) in enumerate(iterate_items(unit.path, unit.start, unit.stop), start=first_item + unit.start):
            key = _key(item, number)
            try:
                yield self._make_sample(item, key, unit.path)
            except _BadItem as error:
                yield BadSample(key, error.reason, escape(f"{where}: {error.message}"))

    def fingerprint(self) -> dict[str, str]:
        return sizes(list(self._num_items))

    @cached_property
    def _num_items(self) -> dict[str, int]:
        """Items by file, in order. Counted once: it travels with the source to the workers."""
        return {path: sum(1 for _ in iterate_items(path, 0, None)) for path in list_inputs(self.path, ending=".json")}

    def _make_sample(self, item: Any, key: str, path: str) -> Sample:
        if isinstance(item, ValueError):
            raise _BadItem("bad_json", str(item))
        if not isinstance(item, dict):
            raise _BadItem("bad_field", f"wants an object, got {str(item)[:100]}")
        if not is_clean(item):
            raise _BadItem("text_not_utf8", str(item)[:200])
        if not isinstance(item.get("id", ""), str | int) or isinstance(item.get("id"), bool):
            raise _BadItem("bad_field", f"id is neither a string nor a number but {item['id']!r}"[:200])
        names = item.get("image") or []
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise _BadItem("bad_field", f"image is neither a path nor a list of paths but {names!r}"[:200])
        roles = ["image"] if len(names) == 1 else [f"image_{n}" for n in range(1, len(names) + 1)]
        turns = _make_turns(_read_values(item), roles)
        images = {role: self._read_picture(name, path) for role, name in zip(roles, names, strict=True)}
        metadata = {k: v for k, v in item.items() if k not in PARTS and (v is None or isinstance(v, str | int | float | bool))}
        return Sample(key, "", images, turns=turns, metadata=metadata)

    def _read_picture(self, name: str, path: str) -> bytes:
        picture = name if "://" in name else join(self.image_root or posixpath.dirname(path), name)
        fs, bare = open_fs(picture)
        try:
            return bytes(fs.cat_file(bare))
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
            raise _BadItem("missing_image", f"{picture}: {type(error).__name__}") from error
        except OSError as error:
            raise ShardError(f"{picture}: {error}") from error


def _key(item: Any, number: int) -> str:
    name = item.get("id") if isinstance(item, dict) else None
    return escape(as_key(str(name))) if isinstance(name, str | int) and name != "" else str(number)


def _read_values(item: dict[str, Any]) -> list[str]:
    """What the speakers say, human first and then in turn."""
    turns = item.get("conversations")
    if not isinstance(turns, list):
        raise _BadItem("bad_field", f"conversations is no list of turns but {turns!r}"[:200])
    values = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise _BadItem("bad_field", f"conversations[{number}] has no text in 'value': {turn!r}"[:200])
        wanted = ("user", "assistant")[number % 2]
        speaker = turn.get("from")
        if not isinstance(speaker, str) or SPEAKERS.get(speaker) != wanted:
            raise _BadItem("bad_turns", f"conversations[{number}] is from {speaker!r} where {'gpt' if number % 2 else 'human'} is due")
        values.append(turn["value"])
    if not values:
        raise _BadItem("bad_turns", "conversations is empty")
    return values


def _make_turns(values: list[str], roles: list[str]) -> tuple[Turn, ...]:
    num_named = sum(value.count(IMAGE_MARK) for value in values)
    if num_named == 0:
        values = [f"{IMAGE_MARK} " * len(roles) + values[0], *values[1:]]
    elif num_named != len(roles):
        raise _BadItem("image_count", f"the turns name {num_named} pictures, the item has {len(roles)}")
    names = iter(roles)
    turns = []
    for number, value in enumerate(values):
        pieces = re.split(f"({re.escape(IMAGE_MARK)})", value)
        content = tuple(ImageRef(next(names)) if piece == IMAGE_MARK else piece for piece in pieces if piece)
        turns.append(Turn("assistant" if number % 2 else "user", content))
    return tuple(turns)
