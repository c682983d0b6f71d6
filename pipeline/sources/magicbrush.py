"""MagicBrush: sessions of some edits of a COCO picture, as Hugging Face's tables or as the folder of the test set.

    data/train-00000-of-00051-9fd9f23e2b1cb397.parquet          one row a turn, the rows of a session side by side
        img_id: string | turn_index: int32, from 1 | source_img, mask_img, target_img: struct<bytes, path> | instruction: string

    test/edit_sessions.json                {"139306": [{"input": "139306-input.png", "mask": "139306-mask1.png",
    test/images/139306/139306-input.png                 "output": "139306-output1.png", "instruction": "Add a dog."},
    test/images/139306/139306-mask1.png                {"input": "139306-output1.png", ...}], ...}

A sample is a session; its key is the picture's COCO id. Every turn begins with what the one before has left: a session where it does not,
or whose turns are not 1, 2, ..., fails as a whole. A mask is the picture before the edit, transparent where the edit may change it: white,
once it is decoded. The test set is for evaluation; its makers ask that nothing is trained on it.

Source: huggingface.co/datasets/osunlp/MagicBrush (card, file list); OSU-NLP-Group/MagicBrush, README.md and edit_cli_single_multi_turn.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import RecipeError
from pipeline.paths import exists, join
from pipeline.samples import BadSample, Sample
from pipeline.sources.listing import list_inputs, sizes
from pipeline.sources.magicbrush_folder import SESSIONS, count_sessions, read_folder_sessions
from pipeline.sources.magicbrush_tables import Table, find_tables, read_table_sessions
from pipeline.sources.unit import Unit, cut_into_units


@dataclass(frozen=True)
class MagicBrush:
    """Every session of the files that `path` names."""

    path: str  # tables: a file, a folder, a glob, {0..3}, several joined by "::"; or the folder that holds edit_sessions.json
    masks: bool = False  # mask_1, mask_2, ... too: token sequences do without them

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for path, sessions in self._sessions.items():
            num_sessions = sessions if isinstance(sessions, int) else len(sessions.starts)
            units += cut_into_units(path, num_sessions, unit_size, first_index=len(units))
        if not units:
            raise RecipeError(f"{self.path}: no session in {len(self._sessions)} files")
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        tables = {path: sessions for path, sessions in self._sessions.items() if isinstance(sessions, Table)}
        if unit.path in tables:
            return read_table_sessions(tables, unit, masks=self.masks)
        return read_folder_sessions(unit, masks=self.masks)

    def fingerprint(self) -> dict[str, str]:
        return sizes(list(self._sessions))

    @cached_property
    def _sessions(self) -> dict[str, "Table | int"]:
        """By file: which rows are sessions, or how many there are. Found once: it travels with the source to the workers."""
        parts = [join(part, SESSIONS) if exists(join(part, SESSIONS)) else part for part in self.path.split("::")]
        files = list_inputs("::".join(parts), ending=".parquet")
        tables = find_tables([file for file in files if not file.endswith(".json")], masks=self.masks)
        return {file: tables[file] if file in tables else count_sessions(file) for file in files}
