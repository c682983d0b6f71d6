"""`--set a.b=c`: change a recipe's tables from the command line."""

import copy
import tomllib
from typing import Any

from pipeline.errors import RecipeError


def apply_overrides(tables: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """The tables with each "path=value" put in; the value is TOML, or a plain string where it is none.

    A list of tables is entered by number, by kind or by name: `filter.0.min_side=256`, `task.captioning.weight=0.5`, `stage.768.seed=1`.

    Raises:
        RecipeError: No "=", or the path leads nowhere.
    """
    tables = copy.deepcopy(tables)
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path:
            raise RecipeError(f"--set {override}: KEY=VALUE is wanted, as in tokens.target_size=256")
        *parents, last = path.strip().split(".")
        place: Any = tables
        for depth, part in enumerate(parents):
            place = _enter(place, part, ".".join(parents[: depth + 1]))
        if isinstance(place, list) or not isinstance(place, dict):
            raise RecipeError(f"--set {override}: {'.'.join(parents)} is no table")
        place[last] = _parse(text.strip())
    return tables


def _enter(place: Any, part: str, path: str) -> Any:
    if isinstance(place, list):
        for number, table in enumerate(place):
            if part == str(number) or (isinstance(table, dict) and part in (table.get("kind"), table.get("name"))):
                return table
        raise RecipeError(f"--set: {path} leads nowhere; the list has {len(place)} tables: {[table.get('kind') for table in place]}")
    if not isinstance(place, dict):
        raise RecipeError(f"--set: {path} leads into a value, not a table")
    return place.setdefault(part, {})


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
