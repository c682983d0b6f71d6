"""Dialogues in JSON: who speaks in turn, and which picture stands where.

    {"conversations": [{"from": "human", "value": "What is this? <|image|>"}, {"from": "gpt", "value": "A box."}], "image": "a.png"}

Texts keep their spaces to the letter: token ids depend on them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.roles import numbered
from pipeline.samples import ImageRef, Turn
from pipeline.sources.bad_record import BadRecord

SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


def read_picture_names(item: Mapping[str, Any], field: str) -> list[str]:
    """The paths in a field that holds one, a list of them, or nothing.

    Raises:
        BadRecord: It holds something else.
    """
    names = item.get(field) or []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise BadRecord("bad_field", f"{field} is neither a path nor a list of paths but {names!r}"[:200])
    return names


def picture_roles(num_pictures: int) -> list[str]:
    """The roles of a dialogue's pictures, in order: `image` where there is but one, else image_1, image_2, ..."""
    return ["image"] if num_pictures == 1 else [numbered("image", n) for n in range(1, num_pictures + 1)]


def read_turns(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Who speaks, as the file names them, and what is said.

    Raises:
        BadRecord: A turn is none.
    """
    turns = item.get("conversations")
    if not isinstance(turns, list):
        raise BadRecord("bad_field", f"conversations is no list of turns but {turns!r}"[:200])
    said = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise BadRecord("bad_field", f"conversations[{number}] has no text in 'value': {turn!r}"[:200])
        speaker = turn.get("from")
        if not isinstance(speaker, str):
            raise BadRecord("bad_turns", f"conversations[{number}] is from {speaker!r}")
        said.append((speaker, turn["value"]))
    return said


def check_order(said: Sequence[tuple[str, str]], first: int = 0) -> list[str]:
    """What is said from turn `first` on, once it is sure that human and assistant take turns, human first.

    Raises:
        BadRecord: They do not, or say nothing.
    """
    for number, (speaker, _) in enumerate(said[first:]):
        if SPEAKERS.get(speaker) != ("user", "assistant")[number % 2]:
            due = "gpt" if number % 2 else "human"
            raise BadRecord("bad_turns", f"conversations[{first + number}] is from {speaker!r} where {due} is due")
    if len(said) <= first:
        raise BadRecord("bad_turns", "conversations is empty")
    return [value for _, value in said[first:]]


def place_pictures(values: Sequence[str], roles: Sequence[str], mark: str, gap: str) -> tuple[Turn, ...]:
    """Turns, human first, with a picture wherever a mark stands.

    Args:
        values: What is said, in turn.
        roles: Of the pictures, in the order in which the marks name them.
        mark: Stands for a picture.
        gap: Goes behind each picture where no turn names one: then all of them stand in front of the first turn.

    Raises:
        BadRecord: There are more marks than pictures, or fewer.
    """
    num_named = sum(value.count(mark) for value in values)
    if num_named == 0:
        values = [(mark + gap) * len(roles) + values[0], *values[1:]]
    elif num_named != len(roles):
        raise BadRecord("image_count", f"the turns name {num_named} pictures, the item has {len(roles)}")
    names = iter(roles)
    turns = []
    for number, value in enumerate(values):
        pieces = re.split(f"({re.escape(mark)})", value)
        content = tuple(ImageRef(next(names)) if piece == mark else piece for piece in pieces if piece)
        turns.append(Turn("assistant" if number % 2 else "user", content))
    return tuple(turns)


def text_turns(values: Sequence[str]) -> tuple[Turn, ...]:
    """Turns without pictures, human first."""
    return tuple(Turn("assistant" if number % 2 else "user", (value,) if value else ()) for number, value in enumerate(values))
