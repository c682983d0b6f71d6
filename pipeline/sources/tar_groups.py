"""The members of a tar, grouped into samples by webdataset's rules, from its headers alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from pipeline.sources.tar_index import DamagedTar, Member, walk
from pipeline.sources.text import as_key, escape, is_clean

_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)  # up to the first dot after the last slash


@dataclass(slots=True)
class Group:
    """Members side by side that have one key."""

    key: str
    members: list[tuple[str, Member]] = field(default_factory=list)  # ending, member
    reason: str = ""  # why it is no sample; empty when it may be one
    message: str = ""

    @property
    def endings(self) -> frozenset[str]:
        return frozenset(ending for ending, _ in self.members)


def count_groups(file: IO[bytes], path: str) -> int:
    """How many groups a tar holds, up to its end or its damage."""
    return sum(1 for _ in _group(file, path, []))


def find_groups(file: IO[bytes], path: str, start: int, stop: int | None) -> tuple[list[Group], DamagedTar | None]:
    """Groups `start` to `stop` of a tar. All headers are read whichever groups are wanted: a key may come back anywhere.

    Args:
        file: From `open_tar`.
        path: Its name, for messages.

    Returns:
        The groups, and the damage where the tar has one at or after `start` and `stop` is None.
    """
    wanted: list[Group] = []
    numbers: dict[str, int] = {}  # key -> its first group
    endings: dict[str, frozenset[str]] = {}
    shared: dict[frozenset[str], frozenset[str]] = {}  # most samples have the same endings: one set for all of them
    apart: set[str] = set()
    damage: list[DamagedTar] = []
    for number, group in enumerate(_group(file, path, damage)):
        if group.key not in numbers:
            numbers[group.key] = number
            endings[group.key] = shared.setdefault(group.endings, group.endings)
        elif endings[group.key].isdisjoint(group.endings):
            apart.add(group.key)
        else:
            group.reason, group.message = "duplicate_key", f"sample {numbers[group.key]} of {path} has this key too"
        if number >= start and (stop is None or number < stop):
            wanted.append(group)
    for group in wanted:
        if group.key in apart:
            group.reason, group.message = "members_apart", f"the members of this key do not lie side by side in {path}"
    return wanted, damage[0] if damage and stop is None else None


def _group(file: IO[bytes], path: str, damage: list[DamagedTar]) -> Iterator[Group]:
    """The groups in order. Damage ends the stream and is put into `damage`; a group that it leaves without a member fails with it."""
    group: Group | None = None
    before: frozenset[str] = frozenset()  # endings of the last group that was given out
    try:
        for member in walk(file, path):
            key, ending = _split(member.name)
            if not key:
                continue
            if group is None or group.key != escape(key):
                if group is not None:
                    before = group.endings
                    yield group
                group = Group(escape(key))
                if not is_clean(key):
                    group.reason, group.message = "name_not_utf8", escape(member.name)
            if ending in group.endings:
                group.reason, group.message = "duplicate_member", f"{escape(member.name)} is there twice"
            group.members.append((ending, member))
    except DamagedTar as error:
        damage.append(error)
        if group is not None and _is_cut(group, error, before):
            group.reason, group.message = "corrupt_tar", f"{path} is damaged within this sample"
    if group is not None:
        yield group


def _split(name: str) -> tuple[str, str]:
    """The key and the ending that webdataset sees in a member's name; ("", "") where the member belongs to no sample."""
    name = name.removeprefix("./")
    match = _NAME.fullmatch(name)
    return (as_key(match[1]), match[2].lower()) if match and not name.startswith("__") else ("", "")


def _is_cut(group: Group, damage: DamagedTar, before: frozenset[str]) -> bool:
    """Whether the last group before the damage lacks members, as far as can be told: its own is cut, or the group before has more."""
    if damage.member:
        return escape(_split(damage.member)[0]) == group.key
    return not before or not before <= group.endings
