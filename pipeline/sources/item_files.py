"""Files of JSON items, as sources plan and read them: where the items lie is found once, and every worker reads its own alone."""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import RecipeError
from pipeline.samples import BadSample, Sample
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.json_items import Places, find_items, read_items
from pipeline.sources.listing import list_inputs, sizes
from pipeline.sources.text import as_key, escape, is_clean
from pipeline.sources.unit import Unit, cut_into_units


@dataclass(frozen=True)
class ItemFiles:
    """The files that a source's `path` names; what was found in them travels with the source to the workers."""

    path: str
    ending: str  # which files of a folder count, with its dot

    def plan(self, unit_size: int) -> list[Unit]:
        """Units of at most `unit_size` items, file by file.

        Raises:
            RecipeError: There is no item, a file is not there, or no JSON.
        """
        units: list[Unit] = []
        for file, items in self._places.items():
            units += cut_into_units(file, len(items), unit_size, first_index=len(units))
        if not units:
            raise RecipeError(f"{self.path}: no item in {len(self._places)} files")
        return units

    def read(
        self, unit: Unit, key: Callable[[Any, int, int], str], make: Callable[[dict[str, Any], str], Sample]
    ) -> Iterator[Sample | BadSample]:
        """A sample of each item of a unit; what stops one from being one is said with its file and line.

        Args:
            key: Given an item, its number in its file and its number over all files, from 0.
            make: Given an item whose texts are UTF-8, and its key. Raises BadRecord.

        Raises:
            ShardError: The file cannot be read.
        """
        files = list(self._places)
        num_before = sum(len(self._places[file]) for file in files[: files.index(unit.path)])
        items = self._places[unit.path]
        stop = len(items) if unit.stop is None else unit.stop
        for number, (where, item) in enumerate(read_items(unit.path, items, unit.start, stop), start=unit.start):
            name = key(item, number, num_before + number)
            try:
                yield make(check_object(item), name)
            except BadRecord as error:
                yield BadSample(name, error.reason, escape(f"{where}: {error.message}"))

    def fingerprint(self) -> dict[str, str]:
        """Bytes by file."""
        return sizes(list(self._places))

    @cached_property
    def _places(self) -> dict[str, Places]:
        """Where items lie, by file. Found once."""
        return {file: find_items(file) for file in list_inputs(self.path, ending=self.ending)}


def item_key(path: str, number: int, num_folders: int) -> str:
    """A key for an item that has no name of its own: that of its file and its number there, whatever other files are read.

    Args:
        path: Of the file.
        number: Of the item in it.
        num_folders: How many of the folders above the file are named, too.
    """
    parts = [part for part in posixpath.splitext(path)[0].split("/") if part not in ("", ".", "..")]
    return escape(as_key("/".join([*parts[-1 - num_folders :], str(number)])))


def check_object(item: Any) -> dict[str, Any]:
    """An item as an object whose texts are UTF-8.

    Raises:
        BadRecord: It is none.
    """
    if isinstance(item, ValueError):
        raise BadRecord("bad_json", str(item))
    if not isinstance(item, dict):
        raise BadRecord("bad_field", f"wants an object, got {str(item)[:100]}")
    if not is_clean(item):
        raise BadRecord("text_not_utf8", str(item)[:200])
    return item


def read_text(item: Mapping[str, Any], field: str) -> str:
    """A field that must say something.

    Raises:
        BadRecord: It is not there, no text, or blank.
    """
    text = item.get(field)
    if not isinstance(text, str) or not text.strip():
        raise BadRecord("bad_field", f"{field} is no text but {text!r}"[:200])
    return text


def other_scalars(item: Mapping[str, Any], used: tuple[str, ...]) -> dict[str, Any]:
    """The fields that are a text, a number or a truth value, without those that were used: a sample's metadata."""
    return {name: value for name, value in item.items() if name not in used and isinstance(value, str | int | float | bool)}
