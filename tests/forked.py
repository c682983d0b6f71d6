"""Processes that start at once, alone or many that train together (gloo): forked from one that has imported torch and the project already.

What they do is what a process started from nothing does: its own environment, its own output, signals and exit code.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch.distributed as dist

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.forked", "jobs.__main__", "jobs.lm.trainer", "tokenizer.vq.fitting.trainer", "torch._dynamo"])


@dataclass
class Forked:
    """Processes that do one thing together."""

    ranks: list[BaseProcess]
    words: Path  # what they print
    store: Any  # where they meet, if they are many

    def finish(self, seconds: float = 900) -> tuple[int, str]:
        """Their exit code, as a shell has it, the worst of all; and what they printed."""
        deadline = time.monotonic() + seconds
        for rank in self.ranks:
            rank.join(max(deadline - time.monotonic(), 0))
        codes = [rank.exitcode for rank in self.ranks]
        if None in codes:
            self.kill()
            raise TimeoutError(self.words.read_text())
        return max(abs(code) for code in codes), self.words.read_text()

    def is_running(self) -> bool:
        return all(rank.is_alive() for rank in self.ranks)

    def wait_for(self, what: Callable[[], bool], seconds: float = 600) -> None:
        """Until something holds, and they must be under way still when it does."""
        deadline = time.monotonic() + seconds
        while not what():
            if not self.is_running() or time.monotonic() > deadline:
                raise TimeoutError("they ended, or did not get there:\n" + self.words.read_text())
            time.sleep(0.001)

    def signal(self, number: int) -> None:
        for rank in self.ranks:
            os.kill(rank.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        for rank in self.ranks:
            rank.kill()
            rank.join()


def fork(words: Path, function: Callable[..., object], *arguments: object, processes: int = 1) -> Forked:
    """Call a function of a module; what it returns is the exit code, None is 0."""
    words.write_text("")
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False) if processes > 1 else None  # here: nobody takes its port
    ranks = []
    for rank in range(processes):
        own: dict[str, str] = {}
        if store is not None:
            where = {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": store.port,
                "TORCHELASTIC_RUN_ID": "tests",
                "TORCHELASTIC_USE_AGENT_STORE": True,
            }
            who = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes}
            own = {name: str(value) for name, value in (where | who).items()}
        ranks.append(FORK.Process(target=_call, args=(str(words), own, function, arguments)))
        ranks[-1].start()
    return Forked(ranks, words, store)


def fork_command(words: Path, *command: str, processes: int = 1) -> Forked:
    """`mgpt ...`."""
    return fork(words, _main, command, processes=processes)


def _main(command: tuple[str, ...]) -> int:
    from jobs.__main__ import main

    return main(list(command))


def _call(words: str, environment: Mapping[str, str], function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    os.environ.update(environment)
    file = os.open(words, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(function(*arguments))
