"""SEED-Data-Edit: edits of pictures, of one turn (parts 1 and 2) and of several (part 3), in JSON lines beside a folder of pictures.

    SEED-Data-Edit-Part2-3/real_editing/annotations/split_0001.jsonl            one turn a line
                           real_editing/images/...                              images.tar.gz, unpacked
                           multi_turn_editing/annotations/split_0001.jsonl      up to 5 turns a line
                           multi_turn_editing/images/...                        multi_turn.tar.gz.part-*, joined and unpacked
    SEED-Data-Edit-Part1-Openimages/auto_editing/openimages/annotations/split_0001.jsonl          and Part1-Unsplash likewise
                                                            annotations_GPT4V/split_0001.jsonl    instructions written anew

    {"source_image": "source_images/f6f4.jpg", "target_image": "target_images/f6f4.jpg", "instruction": "Erase the car."}
    {..., "instruction": "Erase the car.", "instruction_new": "Please remove ...", "response": "Sure, ..."}
    {"source_image": "a/0.jpg", "instruction_1": "...", "edit_image_1": "a/1.jpg", "instruction_2": "...", "edit_image_2": "a/2.jpg"}

Each edit of several turns starts from the picture that the one before has left. Every other field that is a text, a number or a truth value
is metadata. Lines have no names: the key is the file's and the line's, "real_editing/annotations/split_0001/17", so it stays what it is
whatever other files are read. Some pictures of part 3 are known to be broken in the release: they fail where pictures are decoded.

Source: huggingface.co/datasets/AILab-CVC/SEED-Data-Edit-Part2-3 and -Part1-Openimages (cards, file lists); AILab-CVC/SEED-X, README.md,
configs/data/sft_edit.yaml and decode_single_turn_edit_pixels in src/data/sft_clm.py for one turn; a loader of Lumina-mGPT's
(seed_multi_turn_pre_tokenize.py) and ADIEE's dataset for several.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.paths import join
from pipeline.roles import count_numbered, numbered
from pipeline.samples import BadSample, Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.edits import Edit, make_edit_sample
from pipeline.sources.item_files import ItemFiles, item_key, other_scalars, read_text
from pipeline.sources.unit import Unit

_OF_A_TURN = re.compile(r"(?:edit_image|instruction)_(\d+)")


@dataclass(frozen=True)
class SeedDataEdit:
    """Every line of the files that `path` names."""

    path: str  # a file, a folder of .jsonl files, a glob, {0001..0006}, several joined by "::"
    image_root: str = ""  # what pictures' paths are relative to; empty: the folder `images` beside the one that holds the file
    rewritten: bool = True  # take `instruction_new`, which GPT-4V wrote, where there is one; the other one remains in the metadata

    def plan(self, unit_size: int) -> list[Unit]:
        return self._files.plan(unit_size)

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        root = self.image_root or posixpath.normpath(join(posixpath.dirname(unit.path), "..", "images"))
        return self._files.read(
            unit,
            key=lambda item, number, _: item_key(unit.path, number, num_folders=2),
            make=lambda item, key: self._make_sample(item, key, root),
        )

    def fingerprint(self) -> dict[str, str]:
        return self._files.fingerprint()

    @cached_property
    def _files(self) -> ItemFiles:
        return ItemFiles(self.path, ".jsonl")

    def _make_sample(self, item: dict[str, Any], key: str, root: str) -> Sample:
        item = {name: value for name, value in item.items() if value is not None}  # where lines were made a table: turns that are not there
        fields = self._turn_fields(item)
        source = read_text(item, "source_image")
        said = [(read_text(item, instruction), read_text(item, picture)) for instruction, picture in fields]
        used = ("source_image", *(field for pair in fields for field in pair))
        picture = read_picture(root, source)
        edits = [Edit(instruction, read_picture(root, name)) for instruction, name in said]
        return make_edit_sample(key, picture, edits, other_scalars(item, used))

    def _turn_fields(self, item: dict[str, Any]) -> list[tuple[str, str]]:
        """For each turn the fields of its instruction and of its picture."""
        if "target_image" in item:
            instruction = "instruction_new" if self.rewritten and "instruction_new" in item else "instruction"
            return [(instruction, "target_image")]
        num_turns = count_numbered(item, "edit_image")
        if not num_turns:
            raise BadRecord("bad_field", f"neither target_image nor edit_image_1 is there, only {', '.join(item)}"[:200])
        beyond = next((name for name in item if (match := _OF_A_TURN.fullmatch(name)) and int(match[1]) > num_turns), None)
        if beyond:
            raise BadRecord("bad_turns", f"{beyond} is there, but edit_image_{num_turns + 1} is not")
        return [(numbered("instruction", n), numbered("edit_image", n)) for n in range(1, num_turns + 1)]
