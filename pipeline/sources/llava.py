r"""Instruction data as LLaVA publishes it, and those that took its form over (ShareGPT4V, Mini-Gemini): one JSON list or JSON lines.

    [{"id": "000000033471", "image": "coco/train2017/000000033471.jpg",
      "conversations": [{"from": "human", "value": "<image>\nWhat are the colors of the bus?"}, {"from": "gpt", "value": "White and red."},
                        {"from": "human", "value": "Is it driving?"}, {"from": "gpt", "value": "Yes."}]},
     {"id": "wgByO4Y_0", "model": "", "conversations": [...]},                     text alone, from ShareGPT
     {"id": "7", "image": ["a.jpg", "b.jpg"], "conversations": [{"from": "human", "value": "<image>\n<image>\nCompare."}, ...]}]

A picture stands where "<image>" does. The line break that comes with it, "<image>\nQ" or "Q\n<image>", is a part of the text, as it is in
the text that LLaVA's models see; `keep_newlines = false` takes it away. All else is kept to the letter. Where no turn names a picture of
the item, all of them stand in front of the first turn, a line break behind each. In an item without pictures "<image>" is text, as it is
there.

Items from ShareGPT may begin with an answer whose question is lost: LLaVA leaves it out, and so does this. Token sequences have no place
for a system prompt: `system` says what becomes of it. Ids are not unique, for several sets of questions are about one COCO picture: the key
is the file's name and the item's number in it, "llava_v1_5_mix665k/17"; `id` and every other scalar field is metadata.

Source: haotian-liu/LLaVA, docs/Finetune_Custom_Data.md, preprocess_multimodal, preprocess_v1 and LazySupervisedDataset in
llava/train/train.py; dvlab-research/MGM, mgm/train/train.py (pictures in a list); huggingface.co/datasets/Lin-Chen/ShareGPT4V (file list).
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pipeline.samples import BadSample, Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.dialogues import SPEAKERS, check_order, picture_roles, place_pictures, read_picture_names, read_turns, text_turns
from pipeline.sources.item_files import ItemFiles, item_key, other_scalars
from pipeline.sources.unit import Unit

PARTS = ("conversations", "image", "images")  # of an item; every other scalar field is metadata


@dataclass(frozen=True)
class Llava:
    """Every item of the files that `path` names."""

    path: str  # a file, a folder of .json files, a glob, {0..3}, several joined by "::"
    image_root: str = ""  # LLaVA's image_folder: what pictures' paths are relative to; empty: the folder of the file that names them
    image_token: str = "<image>"  # stands for a picture
    keep_newlines: bool = True  # the line break beside an image token
    system: Literal["prepend", "drop"] = "prepend"  # in front of the first human turn, a blank line between; or left out

    def __post_init__(self) -> None:
        if not self.image_token:
            raise ValueError("image_token is empty; wants what stands for a picture, as '<image>'")

    def plan(self, unit_size: int) -> list[Unit]:
        return self._files.plan(unit_size)

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        root = self.image_root or posixpath.dirname(unit.path)
        return self._files.read(
            unit,
            key=lambda item, number, _: item_key(unit.path, number, num_folders=0),
            make=lambda item, key: self._make_sample(item, key, root),
        )

    def fingerprint(self) -> dict[str, str]:
        return self._files.fingerprint()

    @cached_property
    def _files(self) -> ItemFiles:
        return ItemFiles(self.path, ".json")

    def _make_sample(self, item: dict[str, Any], key: str, root: str) -> Sample:
        if item.get("video"):
            raise BadRecord("has_video", f"shows the video {item['video']!r}"[:200])
        names = read_picture_names(item, "images" if "images" in item else "image")
        roles = picture_roles(len(names))
        values = self._read_values(item)
        if names and not self.keep_newlines:
            values = [re.sub(f"\n?{re.escape(self.image_token)}\n?", lambda _: self.image_token, value) for value in values]
        gap = "\n" if self.keep_newlines else ""
        turns = place_pictures(values, roles, mark=self.image_token, gap=gap) if names else text_turns(values)
        images = {role: read_picture(root, name) for role, name in zip(roles, names, strict=True)}
        return Sample(key, "", images, turns=turns, metadata=other_scalars(item, used=PARTS))

    def _read_values(self, item: dict[str, Any]) -> list[str]:
        """What human and assistant say, in turn."""
        said = read_turns(item)
        prompt, first = "", 0
        if said and said[0][0] == "system":
            prompt, first = said[0][1], 1
        if first < len(said) and SPEAKERS.get(said[first][0]) == "assistant":
            first += 1  # its question is lost
        values = check_order(said, first)
        if prompt and self.system == "prepend":
            values[0] = f"{prompt}\n\n{values[0]}"
        return values
