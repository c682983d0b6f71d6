"""Dialogues in the reference's JSON: one list of items, or JSON lines.

    [{"conversations": [{"from": "human", "value": "Depth estimation. <|image|>"}, {"from": "gpt", "value": "<|image|>"}],
      "image": ["a.png", "b.png"], "id": "7"}, ...]

Pictures stand where "<|image|>" does, in order. If no turn names one, all of them stand in front of the first turn. Texts keep their spaces
to the letter: token ids depend on them. Items without `image` are text only.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.samples import IMAGE_MARK, BadSample, Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.dialogues import check_order, picture_roles, place_pictures, read_picture_names, read_turns
from pipeline.sources.item_files import ItemFiles, other_scalars
from pipeline.sources.text import as_key, escape
from pipeline.sources.unit import Unit

PARTS = ("conversations", "image", "id")  # of an item; every other scalar field is metadata


@dataclass(frozen=True)
class Conversations:
    """Every item of the files that `path` names."""

    path: str  # a file, a folder of .json files, a glob, {0..3}, several joined by "::"
    image_root: str = ""  # what pictures' paths are relative to; empty: the folder of the file that names them

    def plan(self, unit_size: int) -> list[Unit]:
        return self._files.plan(unit_size)

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        root = self.image_root or posixpath.dirname(unit.path)
        return self._files.read(
            unit,
            key=lambda item, _, number: _key(item, number),
            make=lambda item, key: _make_sample(item, key, root),
        )

    def fingerprint(self) -> dict[str, str]:
        return self._files.fingerprint()

    @cached_property
    def _files(self) -> ItemFiles:
        return ItemFiles(self.path, ".json")


def _make_sample(item: dict[str, Any], key: str, root: str) -> Sample:
    if not isinstance(item.get("id", ""), str | int) or isinstance(item.get("id"), bool):
        raise BadRecord("bad_field", f"id is neither a string nor a number but {item['id']!r}"[:200])
    names = read_picture_names(item, "image")
    roles = picture_roles(len(names))
    turns = place_pictures(check_order(read_turns(item)), roles, mark=IMAGE_MARK, gap=" ")
    images = {role: read_picture(root, name) for role, name in zip(roles, names, strict=True)}
    return Sample(key, "", images, turns=turns, metadata=other_scalars(item, used=PARTS))


def _key(item: Any, number: int) -> str:
    name = item.get("id") if isinstance(item, dict) else None
    return escape(as_key(str(name))) if isinstance(name, str | int) and name != "" else str(number)
