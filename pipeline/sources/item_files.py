"""Files of JSON items, as sources plan and read them: where the items lie is found once, and every worker reads its own alone."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import RecipeError
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.json_items import Places, find_items, read_items
from pipeline.sources.listing import list_inputs
from pipeline.sources.text import as_key, escape, is_clean
from pipeline.sources.unit import Unit, cut_into_units


def find_all_items(path: str, ending: str) -> dict[str, Places]:
    """Where the items of all files lie, by file; the arguments are those of `list_inputs`.

    Raises:
        RecipeError: A file is not there, or no JSON.
    """
    return {file: find_items(file) for file in list_inputs(path, ending=ending)}


def plan_items(path: str, places: Mapping[str, Places], unit_size: int) -> list[Unit]:
    """Units of at most `unit_size` items, file by file.

    Raises:
        RecipeError: There is no item.
    """
    units: list[Unit] = []
    for file, items in places.items():
        units += cut_into_units(file, len(items), unit_size, first_index=len(units))
    if not units:
        raise RecipeError(f"{path}: no item in {len(places)} files")
    return units


def read_unit(places: Mapping[str, Places], unit: Unit) -> Iterator[tuple[int, str, Any]]:
    """The items of a unit, each with its number in the file, from 0, and its place ("data.json:17").

    Raises:
        ShardError: The file cannot be read.
    """
    items = places[unit.path]
    stop = len(items) if unit.stop is None else unit.stop
    for number, (where, item) in enumerate(read_items(unit.path, items, unit.start, stop), start=unit.start):
        yield number, where, item


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
    """The fields that are a text, a number, a truth value or null, without those that were used: a sample's metadata."""
    return {k: v for k, v in item.items() if k not in used and (v is None or isinstance(v, str | int | float | bool))}
