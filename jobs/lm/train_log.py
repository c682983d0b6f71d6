"""`log.jsonl`: one line a logged step, for the report and for people.

{"step": 10, "loss": 8.81, "cross_entropy": 8.81, "z": 81.2, ..., "loss_by_task": {"text_to_image": 8.81}}
{"step": 200, "held_out_loss": 6.02, "held_out_loss_by_task": {...}}
"""

import json
from pathlib import Path
from typing import Any

from pipeline.paths import commit_bytes

LOG = "log.jsonl"


def rewind_log(path: Path, step: int) -> None:
    """Drop what was logged after a checkpoint's step: those steps are done again."""
    lines = [line for line in read_log(path) if line["step"] <= step]
    commit_bytes(str(path), "".join(map(_line, lines)).encode())


def append_log(path: Path, values: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(_line(values))


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines; a last one that a killed process left half written is passed over."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values) + "\n"
