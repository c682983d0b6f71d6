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

from pipeline.samples import BadSample, Sample
from pipeline.sources.dialogues import SPEAKERS, check_order, read_turns, text_turns
from pipeline.sources.item_files import ItemFiles, other_scalars
from pipeline.sources.unit import Unit


@dataclass(frozen=True)
class OpenHermes:
    """Every dialogue of the files that `path` names."""

    path: str  # a file, a folder of .json files, a glob, {0..3}, several joined by "::"
    system: Literal["prepend", "drop"] = "prepend"  # prompts: in front of the first turn, a blank line between; or left out

    def plan(self, unit_size: int) -> list[Unit]:
        return self._files.plan(unit_size)

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        return self._files.read(unit, key=lambda item, _, number: str(number), make=self._make_sample)

    def fingerprint(self) -> dict[str, str]:
        return self._files.fingerprint()

    @cached_property
    def _files(self) -> ItemFiles:
        return ItemFiles(self.path, ".json")

    def _make_sample(self, item: dict[str, Any], key: str) -> Sample:
        said, first = read_turns(item), 0
        if said and said[0][0] == "system":
            said, first = _prepend(said) if self.system == "prepend" and said[0][1].strip() else (said, 1)
        return Sample(key, turns=text_turns(check_order(said, first)), metadata=other_scalars(item, used=("conversations",)))


def _prepend(said: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
    """Turns whose system prompt stands in front of what the human says first, or alone where gpt speaks first; and where they begin."""
    (_, prompt), *others = said
    if others and SPEAKERS.get(others[0][0]) != "user":
        return [("human", prompt), *others], 0
    return [said[0], *((speaker, f"{prompt}\n\n{text}") for speaker, text in others[:1]), *others[1:]], 1
