"""The mixture of tasks that a run came out with, beside the one that its recipe asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.inspection.info import by_task
from jobs.inspection.ledger_rows import output_folder
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.shards.reader import TokenShards

RECIPE_FILE = "recipe.json"
SHORT = 0.02  # a share that differs by more than this, of all, is pointed out


@dataclass(frozen=True, slots=True)
class TaskShare:
    """One task."""

    task: str
    asked: float  # share of the weights, in [0, 1]; 0 of a task that no weight was given
    share: float  # that came out, in what the weights count
    sequences: int
    tokens: int
    loss_tokens: int

    @property
    def is_off(self) -> bool:
        return abs(self.share - self.asked) > SHORT


@dataclass(frozen=True, slots=True)
class Mixture:
    """All tasks, in the order of the recipe."""

    counted: str  # "samples" or "tokens": what the weights count
    tasks: tuple[TaskShare, ...]

    @property
    def largest_difference(self) -> float:
        """Between a share and what was asked, of all."""
        return max((abs(task.share - task.asked) for task in self.tasks), default=0.0)


def read_mixture(path: str) -> Mixture | None:
    """Of an OUTPUT, or its `tokens` folder; None where no recipe lies beside the tokens."""
    shards = TokenShards(path)
    recipe = paths.join(output_folder(shards.folder), RECIPE_FILE)
    if not paths.exists(recipe):
        return None
    return compare(json.loads(paths.read_bytes(recipe))["resolved"], by_task(shards))


def compare(resolved: Mapping[str, Any], found: Mapping[str, Mapping[str, int]]) -> Mixture:
    """
    Args:
        resolved: The recipe.
        found: Sequences, tokens and loss_tokens by task.
    """
    tables: Sequence[Mapping[str, Any]] = resolved["task"]
    counted = resolved["tokens"].get("weights_count", "samples")
    column = "tokens" if counted == "tokens" else "sequences"
    all_weights, everything = sum(table["weight"] for table in tables), sum(row[column] for row in found.values())
    nothing = {"sequences": 0, "tokens": 0, "loss_tokens": 0}
    shares = []
    for name in dict.fromkeys([*(table["kind"] for table in tables), *found]):
        row = found.get(name, nothing)
        asked = sum(table["weight"] for table in tables if table["kind"] == name) / all_weights
        shares.append(TaskShare(name, asked, row[column] / max(everything, 1), row["sequences"], row["tokens"], row["loss_tokens"]))
    return Mixture(counted, tuple(shares))


def print_mixture(path: str, as_json: bool) -> None:
    """
    Raises:
        RecipeError: No recipe lies beside the tokens.
    """
    mixture = read_mixture(path)
    if mixture is None:
        raise RecipeError(f"{path}: no {RECIPE_FILE} beside the tokens, so nobody knows which mixture was asked for")
    print(json.dumps(to_json(mixture), indent=1) if as_json else "\n".join(mixture_lines(mixture)))


def mixture_lines(mixture: Mixture) -> list[str]:
    """The table, for people."""
    lines = [f"  {'task':<20} {'asked':>8} {'came out':>9} {'sequences':>10} {'tokens':>14} {'with loss':>14}"]
    for task in mixture.tasks:
        counts = f"{task.sequences:>10,} {task.tokens:>14,} {task.loss_tokens:>14,}"
        lines.append(f"    {task.task:<18} {task.asked:>8.1%} {task.share:>9.1%} {counts}{'  off' if task.is_off else ''}")
    what = "tokens" if mixture.counted == "tokens" else "sequences"
    return [*lines, f"    shares of the {what}; the largest difference is {mixture.largest_difference:.2%} of them"]


def to_json(mixture: Mixture) -> dict[str, Any]:
    """The same for machines."""
    return {
        "counted": mixture.counted,
        "largest_difference": mixture.largest_difference,
        "tasks": [asdict(task) for task in mixture.tasks],
    }
