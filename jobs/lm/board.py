"""The log and the grids for TensorBoard: OUTPUT/train/tensorboard. Extra `[tensorboard]`.

train/loss train/grad_norm ...    loss/text_to_image ...    held_out/loss held_out/text_to_image ...    grid
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import RecipeError

TENSORBOARD = "tensorboard"  # folder
HELD_OUT = "held_out_loss"
GROUPS = {"loss_by_task": "loss", f"{HELD_OUT}_by_task": "held_out"}


def check_board() -> None:
    """Raises:
    RecipeError: The package is not there.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise RecipeError('train.tensorboard: wants the package tensorboard; pip install "mgpt[tensorboard]"')


class Board:
    """Event files of one run of a training.

    Args:
        step: Where the run begins: what an earlier one said of later steps is taken back.
    """

    def __init__(self, train_folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(train_folder / TENSORBOARD), purge_step=step + 1)

    def add(self, values: Mapping[str, Any]) -> None:
        """A line of the log."""
        step = values["step"]
        for name, value in values.items():
            if name in GROUPS:
                for task, loss in value.items():
                    self._writer.add_scalar(f"{GROUPS[name]}/{task}", loss, step)
            elif name == HELD_OUT:
                self._writer.add_scalar("held_out/loss", value, step)
            elif name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(f"train/{name}", value, step)

    def add_picture(self, pixels_HWC: np.ndarray, step: int) -> None:
        """A grid."""
        self._writer.add_image("grid", pixels_HWC, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()
