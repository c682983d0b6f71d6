"""Sources: where samples come from.

To add one: a file in this folder, and its line in SOURCES.
"""

from collections.abc import Iterator
from typing import Protocol

from pipeline.samples import BadSample, Sample
from pipeline.sources.coco import Coco
from pipeline.sources.conversations import Conversations
from pipeline.sources.folder import Folder
from pipeline.sources.llava import Llava
from pipeline.sources.magicbrush import MagicBrush
from pipeline.sources.openhermes import OpenHermes
from pipeline.sources.parquet import Parquet
from pipeline.sources.refcoco import RefCoco
from pipeline.sources.seed_data_edit import SeedDataEdit
from pipeline.sources.shapes import Shapes
from pipeline.sources.turntable import Turntable
from pipeline.sources.unit import Unit
from pipeline.sources.webdataset_tars import WebDataset


class Source(Protocol):
    """A frozen dataclass whose fields are its options in the recipe. What it lists while planning travels with it to the workers."""

    def plan(self, unit_size: int) -> list[Unit]:
        """Cut the input into units of at most `unit_size` records, on the driver. Reads no picture.

        Raises:
            RecipeError: Nothing is there, or what is there is no such input.
        """
        ...

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        """One item per record of a unit, always in the same order, on a worker.

        Raises:
            ShardError: The unit's file cannot be read at all.
        """
        ...

    def fingerprint(self) -> dict[str, str]:
        """What identifies the input, cheaply: "123 bytes" by file, or a count for what is made up."""
        ...


SOURCES: dict[str, type[Source]] = {
    "folder": Folder,
    "webdataset": WebDataset,
    "parquet": Parquet,
    "conversations": Conversations,
    "llava": Llava,
    "magicbrush": MagicBrush,
    "seed_data_edit": SeedDataEdit,
    "openhermes": OpenHermes,
    "coco": Coco,
    "refcoco": RefCoco,
    "shapes": Shapes,
    "turntable": Turntable,
}
