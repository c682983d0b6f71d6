"""OpenHermes 2.5 and what has its form: dialogues without pictures, in one JSON list or in JSON lines.

    [{"conversations": [{"from": "system", "value": "You are a ...", "weight": null},
                        {"from": "human", "value": "Which is correct?\\n..."}, {"from": "gpt", "value": "A"}],
      "source": "airoboros2.2", "category": "orca", "skip_prompt_formatting": false, "id": null, "title": null, "hash": null, ...}, ...]

The list of 1,001,551 items is one file of 1.9 GB: it is read once while planning, and then every worker reads its own items alone. Token
sequences have no place for a system prompt: `system` says what becomes of it. Dialogues of role play go on with gpt after it: there the
prompt is what the user says first. The key is the item's number over all files, for ids are not unique here, and mostly null; `id` and
every other field that is a text, a number or a truth value is metadata. `weight` is not used: all answers take loss.

Source: huggingface.co/datasets/teknium/OpenHermes-2.5, openhermes2_5.json (card and viewer); its rows where a system prompt is followed by
gpt are also seen in jondurbin/bagel, bagel/data_sources/openhermes.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pipeline.errors import RecipeError
from pipeline.samples import BadSample, Sample, Turn
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.conversations import SPEAKERS
from pipeline.sources.json_items import Places, find_items, read_items
from pipeline.sources.listing import list_inputs, sizes
from pipeline.sources.text import escape, is_clean
from pipeline.sources.unit import Unit, cut_into_units


@dataclass(frozen=True)
class OpenHermes:
    """Every dialogue of the files that `path` names."""

    path: str  # a file, a folder of .json files, a glob, {0..3}, several joined by "::"
    system: Literal["prepend", "drop", "skip"] = "prepend"  # in front of the first human turn, a blank line between; left out; or its whole
    # dialogue is passed over as if it were not in the file

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for path, places in self._places.items():
            units += cut_into_units(path, len(places), unit_size, first_index=len(units))
        if not units:
            raise RecipeError(f"{self.path}: no item in {len(self._places)} files")
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        paths = list(self._places)
        first_item = sum(len(self._places[path]) for path in paths[: paths.index(unit.path)])
        places = self._places[unit.path]
        stop = len(places) if unit.stop is None else unit.stop
        for number, (where, item) in enumerate(read_items(unit.path, places, unit.start, stop), start=first_item + unit.start):
            try:
                turns = _read_turns(item)
                if turns[0][0] == "system" and self.system == "skip":
                    continue
                yield Sample(str(number), turns=_without_system(turns, self.system), metadata=_metadata(item))
            except BadRecord as error:
                yield BadSample(str(number), error.reason, escape(f"{where}: {error.message}"))

    def fingerprint(self) -> dict[str, str]:
        return sizes(list(self._places))

    @cached_property
    def _places(self) -> dict[str, Places]:
        """Where the items lie, by file. Found once: it travels with the source to the workers."""
        return {path: find_items(path) for path in list_inputs(self.path, ending=".json")}


def _read_turns(item: Any) -> list[tuple[str, str]]:
    """Who says what: speakers as roles, and "system" at most at the beginning, where it is not blank."""
    if isinstance(item, ValueError):
        raise BadRecord("bad_json", str(item))
    if not isinstance(item, dict):
        raise BadRecord("bad_field", f"wants an object, got {str(item)[:100]}")
    if not is_clean(item):
        raise BadRecord("text_not_utf8", str(item.get("conversations"))[:200])
    turns = item.get("conversations")
    if not isinstance(turns, list):
        raise BadRecord("bad_field", f"conversations is no list of turns but {turns!r}"[:200])
    found: list[tuple[str, str]] = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise BadRecord("bad_field", f"conversations[{number}] has no text in 'value': {turn!r}"[:200])
        speaker = turn.get("from")
        if speaker == "system" and number == 0:
            if turn["value"].strip():
                found.append(("system", turn["value"]))
        elif not isinstance(speaker, str) or speaker not in SPEAKERS:
            raise BadRecord("bad_turns", f"conversations[{number}] is from {speaker!r}; wants human and gpt, and system in front of them")
        else:
            found.append((SPEAKERS[speaker], turn["value"]))
    if not found:
        raise BadRecord("bad_turns", "conversations is empty")
    return found


def _without_system(turns: list[tuple[str, str]], system: str) -> tuple[Turn, ...]:
    """The turns, user first and then in turn, with the system prompt where `system` wants it."""
    if turns[0][0] == "system":
        (_, prompt), *turns = turns
        if system == "prepend":
            if turns and turns[0][0] == "user":
                turns[0] = ("user", f"{prompt}\n\n{turns[0][1]}")
            else:
                turns = [("user", prompt), *turns]
    if not turns:
        raise BadRecord("bad_turns", "conversations holds nothing but a system prompt")
    for number, (role, text) in enumerate(turns):
        wanted = ("user", "assistant")[number % 2]
        if role != wanted:
            raise BadRecord("bad_turns", f"turn {number}, {text[:40]!r}, is the {role}'s where the {wanted}'s is due"[:200])
    return tuple(Turn("assistant" if number % 2 else "user", (text,) if text else ()) for number, (_, text) in enumerate(turns))


def _metadata(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if isinstance(value, str | int | float | bool)}
