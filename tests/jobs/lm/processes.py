"""`mgpt train` on a few sequences, in one process or several that train together, and what their logs must share."""

import os
import sys
from pathlib import Path

import pytest

from tests.forked import Forked, fork_command
from tests.jobs.lm.tiny import write_mixed
from tests.jobs.recipes import GOLDEN_TOKENS, ROOT

MODEL = "hidden_size = 32\nnum_layers = 2\nnum_heads = 2\nwarmup = 2\nlog_every = 1\nthreads = 1\n"


def write_recipe(folder: Path, train: str) -> Path:
    """A recipe over mixed sequences, some of which share a window."""
    write_mixed(folder / "out", 20)
    recipe = folder / "recipe.toml"
    recipe.write_text(f'seed = 3\noutput = "{folder}/out"\n[tokens]\n{GOLDEN_TOKENS}\n[train]\n{MODEL}{train}\n')
    return recipe


def launch(recipe: Path, processes: int) -> Forked:
    """`mgpt train`, as torchrun would do it."""
    return fork_command(recipe.with_suffix(".words"), "train", str(recipe), processes=processes)


def torchrun(recipe: Path, processes: int) -> list[str]:
    """The command that starts them from nothing."""
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        "-m",
        "jobs",
        "train",
        str(recipe),
    ]


def alone_environment() -> dict[str, str]:
    """Of a command that finds the project's packages."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def assert_same_run(one: list[dict], other: list[dict]) -> None:
    assert [line["step"] for line in one] == [line["step"] for line in other]
    for line, other_line in zip(one, other, strict=True):
        for name in line.keys() & {"keys_digest", "tokens", "loss_tokens"}:
            assert line[name] == other_line[name], name
        for name in line.keys() & {"loss", "cross_entropy", "z_loss", "held_out_loss", "grad_norm"}:
            assert line[name] == pytest.approx(other_line[name], abs=1e-4), (line["step"], name)
        for name in line.keys() & {"loss_by_task", "held_out_loss_by_task"}:
            assert line[name] == pytest.approx(other_line[name], abs=1e-4)
