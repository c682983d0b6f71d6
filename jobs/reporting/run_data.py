"""What an OUTPUT knows of its run, read for the report. What is not there is empty, and its section is left out."""

import heapq
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.dice import dice
from pipeline.errors import VerificationError
from pipeline.ledger import LEDGER_FOLDER
from pipeline.shards.reader import TokenShards
from pipeline.shards.schema import MANIFEST, TOKENS_FOLDER

RECIPE_FILE = "recipe.json"
TRAIN_LOG = "train/log.jsonl"
SAMPLES_LIST = "samples/samples.jsonl"
EXAMPLES_A_REASON = 4  # samples left out that are shown of each reason


@dataclass(frozen=True, slots=True)
class Reason:
    """Why samples were left out."""

    disposition: str  # rejected or failed
    stage: str
    reason: str


@dataclass
class RunData:
    """Everything that the report is made of."""

    output: str
    seed: int = 0  # of the recipe; examples are drawn with it
    recipe: dict[str, Any] = field(default_factory=dict)  # resolved
    shards: TokenShards | None = None
    reasons: dict[Reason, int] = field(default_factory=dict)  # samples by reason, the most frequent first
    left_out: dict[Reason, list[dict[str, Any]]] = field(default_factory=dict)  # some of their rows in the ledger
    train_log: list[dict[str, Any]] = field(default_factory=list)  # lines of the trainer, in order
    samples: list[dict[str, Any]] = field(default_factory=list)  # lines of the sampler, in order

    @property
    def stages(self) -> list[str]:
        """Where samples can be left out, in the order in which they pass."""
        kinds = [table.get("name", table["kind"]) for name in ("filter", "annotator") for table in self.recipe.get(name, ())]
        known = ["read", "open", *kinds, "tokenize", "decode", "merge"]
        return known + sorted({reason.stage for reason in self.reasons} - set(known))


def read_run(output: str, available: Collection[str] = ()) -> RunData:
    """Read what there is.

    Args:
        available: Keys whose originals can be shown: of the samples that were left out, these come first.

    Raises:
        VerificationError: Something that is there is damaged.
    """
    data = RunData(output)
    recipe_path = paths.join(output, RECIPE_FILE)
    if paths.exists(recipe_path):
        data.recipe = dict(_parse(paths.read_bytes(recipe_path), recipe_path).get("resolved", {}))
        data.seed = int(data.recipe.get("seed", 0))
    if paths.exists(paths.join(output, TOKENS_FOLDER, MANIFEST)):
        data.shards = TokenShards(output)
        _read_left_out(data, available)
    data.train_log = list(_read_lines(paths.join(output, TRAIN_LOG)))
    data.samples = list(_read_lines(paths.join(output, SAMPLES_LIST)))
    return data


def ledger_rows(output: str, keys: set[str]) -> dict[str, dict[str, Any]]:
    """The ledger's accepted rows of some samples."""
    found: dict[str, dict[str, Any]] = {}
    for path in _ledger_parts(output):
        fs, bare = paths.open_fs(path)
        with fs.open(bare, "rb") as file:
            rows = pq.read_table(file, filters=[("key", "in", keys), ("disposition", "=", "accepted")]).to_pylist() if keys else []
        found |= {row["key"]: row for row in rows}
    return found


def read_ledger_column(output: str, name: str) -> pa.ChunkedArray | None:
    """One column of the whole ledger; None where it has none of that name."""
    parts = []
    for path in _ledger_parts(output):
        fs, bare = paths.open_fs(path)
        with fs.open(bare, "rb") as file:
            table = pq.ParquetFile(file)
            if name not in table.schema_arrow.names:
                return None
            parts.append(table.read([name])[name])
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks]) if parts else None


def _read_left_out(data: RunData, available: Collection[str]) -> None:
    """Count samples by reason, and keep some rows of each, drawn by seed and key."""
    kept: dict[Reason, list[tuple[float, int, dict[str, Any]]]] = {}
    counts: dict[Reason, int] = {}
    number = 0
    for path in _ledger_parts(data.output):
        fs, bare = paths.open_fs(path)
        with fs.open(bare, "rb") as file:
            table = pq.read_table(file)
        for batch in table.filter(pc.not_equal(table["disposition"], "accepted")).to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                reason = Reason(row["disposition"], row["stage"], row["reason"])
                counts[reason] = counts.get(reason, 0) + 1
                number += 1
                turn = dice(data.seed, row["key"], "report").random() + (row["key"] not in available)
                place = (-turn, number, row)
                heap = kept.setdefault(reason, [])
                (heapq.heappush if len(heap) < EXAMPLES_A_REASON else heapq.heappushpop)(heap, place)
    data.reasons = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0].stage, item[0].reason)))
    data.left_out = {reason: [row for _, _, row in sorted(kept[reason], reverse=True)] for reason in data.reasons}


def _ledger_parts(output: str) -> list[str]:
    folder = paths.join(output, LEDGER_FOLDER)
    return [paths.join(folder, name) for name in paths.list_files(folder) if name.endswith(".parquet")]


def _read_lines(path: str) -> Iterator[dict[str, Any]]:
    """JSON lines; a last line that a killed process left half written is passed over."""
    if not paths.exists(path):
        return
    lines = paths.read_bytes(path).split(b"\n")
    for line in lines[:-1]:
        if line.strip():
            yield _parse(line, path)


def _parse(data: bytes, path: str) -> dict[str, Any]:
    try:
        table = json.loads(data)
    except ValueError as error:
        raise VerificationError(f"{path}: damaged ({error})") from error
    if not isinstance(table, dict):
        raise VerificationError(f"{path}: damaged (an object is wanted, got {table!r})")
    return table
