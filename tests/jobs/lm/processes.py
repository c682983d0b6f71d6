"""`mgpt train` in processes of its own, one or many (gloo), that start at once: forked from one that has imported torch already."""

import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from tests.jobs.lm.tiny import write_mixed
from tests.jobs.recipes import GOLDEN_TOKENS, ROOT

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.jobs.lm.processes", "jobs.__main__", "jobs.lm.trainer", "torch._dynamo"])

MODEL = "hidden_size = 32\nnum_layers = 2\nnum_heads = 2\nwarmup = 2\nlog_every = 1\nthreads = 1\n"


def write_recipe(folder: Path, train: str) -> Path:
    """A recipe over mixed sequences, some of which share a window."""
    write_mixed(folder / "out", 20)
    recipe = folder / "recipe.toml"
    recipe.write_text(f'seed = 3\noutput = "{folder}/out"\n[tokens]\n{GOLDEN_TOKENS}\n[train]\n{MODEL}{train}\n')
    return recipe


@dataclass
class Launch:
    """Processes that train together."""

    ranks: list[BaseProcess]
    words: Path  # what they print
    store: TCPStore  # where they meet

    def finish(self, seconds: float = 900) -> tuple[int, str]:
        """Their exit code, the worst of all, and what they printed."""
        deadline = time.monotonic() + seconds
        for rank in self.ranks:
            rank.join(max(deadline - time.monotonic(), 0))
        codes = [rank.exitcode for rank in self.ranks]
        if None in codes:
            self.kill()
            raise TimeoutError(self.words.read_text())
        return max(abs(code) for code in codes), self.words.read_text()

    def kill(self) -> None:
        """SIGKILL."""
        for rank in self.ranks:
            rank.kill()
            rank.join()


def launch(recipe: Path, processes: int) -> Launch:
    """As torchrun would do it."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # here, so that nobody else takes the port meanwhile
    words = recipe.with_suffix(".words")
    words.write_text("")
    ranks = []
    for rank in range(processes):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": store.port}
        own["TORCHELASTIC_USE_AGENT_STORE"] = True
        ranks.append(FORK.Process(target=_train, args=(str(recipe), {name: str(value) for name, value in own.items()}, str(words))))
        ranks[-1].start()
    return Launch(ranks, words, store)


def _train(recipe: str, environment: dict[str, str], words: str) -> None:
    from jobs.__main__ import main

    os.environ.update(environment)
    file = os.open(words, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(main(["train", recipe]))


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
