"""MagicBrush's sessions in a folder: edit_sessions.json, and a folder of pictures for each session."""

import posixpath
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Any

from pipeline.paths import join
from pipeline.samples import BadSample, Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.edits import Edit, make_edit_sample
from pipeline.sources.item_files import check_object, read_text
from pipeline.sources.json_stream import iterate_lists
from pipeline.sources.text import as_key, escape
from pipeline.sources.unit import Unit

SESSIONS = "edit_sessions.json"


def count_sessions(path: str) -> int:
    """How many sessions a file has.

    Raises:
        RecipeError: It is no object of lists.
    """
    return sum(1 for _ in _iterate_sessions(path))


def read_folder_sessions(unit: Unit, masks: bool) -> Iterator[Sample | BadSample]:
    """The sessions of a unit.

    Raises:
        ShardError: A file cannot be read.
    """
    for name, turns in islice(_iterate_sessions(unit.path), unit.start, unit.stop):
        yield _make_sample(name, turns, join(posixpath.dirname(unit.path), "images", name), masks)


def _make_sample(name: str, turns: Sequence[tuple[str, Any]], root: str, masks: bool) -> Sample | BadSample:
    key = escape(as_key(name))
    before = ""
    edits: list[Edit] = []
    for where, item in turns:
        try:
            turn = check_object(item)
            source, target, instruction = (read_text(turn, field) for field in ("input", "output", "instruction"))
            if edits and source != before:
                raise BadRecord("bad_turns", f"input is {source!r} where {before!r} is due, the output of the turn before")
            mask = read_picture(root, read_text(turn, "mask")) if masks else None
            if not edits:
                picture = read_picture(root, source)
            edits.append(Edit(instruction, read_picture(root, target), mask))
            before = target
        except BadRecord as error:
            return BadSample(key, error.reason, escape(f"{where}: {error.message}"))
    return make_edit_sample(key, picture, edits, {})


def _iterate_sessions(path: str) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Sessions by name, each with its turns and their places."""
    for name, items in groupby(iterate_lists(path), key=lambda item: item[0]):
        yield name, [(where, turn) for _, where, turn in items]
