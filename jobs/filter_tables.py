"""The filters of a recipe, by name. A kind that is listed twice has two names, and two columns for each of its scores."""

import re
from typing import Any

from filters import FILTERS, Filter
from filters.stage import kind_of, named_rule
from pipeline.config import build_kind
from pipeline.errors import RecipeError

OTHER_STEPS = ("read", "open", "decode", "tokenize")  # they are no filters, and stand in the ledger as stages


def build_filters(tables: tuple[dict[str, Any], ...]) -> tuple[tuple[str, Filter], ...]:
    """Filters by name. The key `name`, which every kind has, takes the place of the kind and begins the names of the filter's scores.

    Raises:
        RecipeError: What is wrong, and where.
    """
    built: dict[str, Filter] = {}
    owners: dict[str, str] = {}  # score -> the filter that fills it
    for number, table in enumerate(tables):
        where = f"filter[{number}]"
        item = build_kind(FILTERS, {key: value for key, value in table.items() if key != "name"}, where)
        check_scales(item, where)
        name = _name(table, where)
        if name in built:
            raise RecipeError(f"{where}: {name} is listed twice; a `name` of its own tells a filter from others of its kind")
        if name != table["kind"] and hasattr(item, "judge_run"):
            raise RecipeError(f"{where}.name: {table['kind']} can compare samples over the run: it is listed once and keeps its name")
        for score in named_rule(name, item).scores:
            if score in owners:
                raise RecipeError(f"{where}.name: {owners[score]} has a score {score!r} already; take another name")
            owners[score] = name
        built[name] = item
    return tuple(built.items())


def named_table(name: str, item: Filter) -> dict[str, str]:
    """The keys of a filter's table that are no options of it."""
    kind = kind_of(item)
    return {"kind": kind} if name == kind else {"kind": kind, "name": name}


def check_scales(item: Any, where: str) -> None:
    """A threshold of 0.5 on a scale from 1 to 10 keeps everything and says nothing: it is refused.

    Raises:
        RecipeError: A threshold is off its scale.
    """
    for name, (low, high) in getattr(item, "scales", {}).items():
        value = getattr(item, name)
        if not low <= value <= high:
            raise RecipeError(f"{where}.{name}: its score lies on a scale from {low:g} to {high:g}, and {value:g} is off it")


def _name(table: dict[str, Any], where: str) -> str:
    kind, name = table["kind"], table.get("name", table["kind"])
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise RecipeError(f"{where}.name: a word in snake_case is wanted, got {name!r}")
    if name != kind and (name in FILTERS or name in OTHER_STEPS):
        raise RecipeError(f"{where}.name: {name} is the name of another step")
    return name
