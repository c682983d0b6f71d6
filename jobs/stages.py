"""Stages of one recipe, one after the other: each prepares, trains and samples for itself, and goes on from the model of the stage before.

    output = "runs/fp"          [[stage]]                       [[stage]]
    [tokens] [train] ...        name = "512"                    name = "768"
                                tokens = {target_size = 512}    tokens = {target_size = 768}

A stage is the recipe with the stage's keys laid over it: tables key by key, lists such as [[filter]] as a whole. Its output is OUTPUT/NAME.
`train.init` of each but the first is the training before it, OUTPUT/NAME-BEFORE/train: its last checkpoint, when it is done.

Source: Lumina-mGPT's FP-SFT (arXiv 2408.02657): 512, 768 and 1024.
"""

import re
from dataclasses import dataclass
from typing import Any

from jobs.recipe import Recipe, build_recipe
from jobs.train import train_folder
from pipeline import paths
from pipeline.errors import RecipeError

STAGE = "stage"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TAKEN = ("tokens", "ledger", "signatures", "train", "samples", "work")  # folders of an output


@dataclass(frozen=True)
class Stage:
    """A recipe of its own."""

    name: str  # empty: the recipe has no stages
    recipe: Recipe
    before: "Stage | None" = None


def build_stages(tables: dict[str, Any]) -> tuple[Stage, ...]:
    """Check parsed tables and build every stage that they name; one without a name where there are none.

    Raises:
        RecipeError: What is wrong, and in which stage.
    """
    if STAGE not in tables:
        return (Stage("", build_recipe(tables)),)
    listed = tables[STAGE]
    if not isinstance(listed, list) or not listed or not all(isinstance(table, dict) for table in listed):
        raise RecipeError(f"stage: one or more tables [[stage]] are wanted, got {listed!r}")
    whole = {key: value for key, value in tables.items() if key != STAGE}
    stages: list[Stage] = []
    for number, table in enumerate(listed):
        name = _name(table, f"stage[{number}]", [stage.name for stage in stages])
        try:
            recipe = build_recipe(_laid_over(whole, table, name, stages[-1] if stages else None))
        except RecipeError as error:
            raise RecipeError(f"stage {name}: {error}") from error
        stages.append(Stage(name, recipe, stages[-1] if stages else None))
    return tuple(stages)


def choose_stages(stages: tuple[Stage, ...], name: str | None) -> tuple[Stage, ...]:
    """The one that is named, or all of them.

    Raises:
        RecipeError: There is none of that name.
    """
    if name is None:
        return stages
    chosen = tuple(stage for stage in stages if name and stage.name == name)
    if not chosen:
        known = ", ".join(stage.name for stage in stages if stage.name) or "none"
        raise RecipeError(f"--stage {name}: the recipe's stages are: {known}")
    return chosen


def check_stage_before(stage: Stage) -> None:
    """Ask before a training.

    Raises:
        RecipeError: The one that it goes on from is not done.
    """
    from jobs.lm.checkpoint import find_checkpoints, load_progress

    if stage.before is None or find_checkpoints(train_folder(stage.recipe)):
        return
    checkpoints = find_checkpoints(train_folder(stage.before.recipe))
    done, wanted = load_progress(checkpoints[-1]).step if checkpoints else 0, stage.before.recipe.train.steps
    if done < wanted:
        raise RecipeError(f"stage {stage.name}: stage {stage.before.name}, which comes first, has done {done} of {wanted} steps")


def _laid_over(whole: dict[str, Any], table: dict[str, Any], name: str, before: Stage | None) -> dict[str, Any]:
    if "output" in table:
        raise RecipeError("output: a stage's is a folder of the recipe's, by the stage's name")
    if before is not None and "init" in (table["train"] if isinstance(table.get("train"), dict) else {}):
        raise RecipeError(f"train.init: stage {before.name} comes before, and its last checkpoint is the start")
    merged: dict[str, Any] = _merge(whole, {key: value for key, value in table.items() if key != "name"})
    if isinstance(output := merged.get("output"), str) and output:
        merged["output"] = paths.join(output.rstrip("/"), name)
    if before is not None and isinstance(merged.get("train", {}), dict):
        train = paths.join(before.recipe.output, "train")
        merged["train"] = merged.get("train", {}) | {"init": paths.open_fs(train)[1] if paths.is_local(train) else train}
    return merged


def _merge(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _merge(below.get(key), value) for key, value in above.items()}


def _name(table: dict[str, Any], where: str, names: list[str]) -> str:
    name = table.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RecipeError(f"{where}.name: letters, digits, '.', '_' and '-' are wanted, for it is a folder; got {name!r}")
    if name in TAKEN:
        raise RecipeError(f"{where}.name: {name!r} is what other folders of an output are called")
    if name in names:
        raise RecipeError(f"{where}.name: {name!r} is taken by stage[{names.index(name)}]")
    return name
