"""Turn a parsed TOML table into a dataclass, and refuse what does not fit.

field's type                     TOML
bool, int, float, str            the same; an integer may stand for a float
Literal["a", "b"]                one of them
X | None                         an X; None is the key left out
int | str                        the first of them that fits
tuple[X, ...]                    an array of X
tuple[X, Y]                      an array of exactly an X and a Y
dict[str, X]                     a table of X
a dataclass                      a table
Any                              anything
"""

import difflib
import math
import types
from collections.abc import Collection
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.errors import RecipeError

NAMES = {dict: "table", list: "array"}  # what TOML calls them


def build(cls: type, table: dict[str, Any], where: str) -> Any:
    """Build dataclass `cls` from `table`.

    Args:
        cls: A dataclass. Only its `init` fields may be set from a recipe. A ValueError of its `__post_init__` is the recipe's fault.
        table: The TOML table, keys as written.
        where: Path of the table inside the recipe ("filter[2]"), for the message.

    Raises:
        RecipeError: Unknown key, missing key, wrong type, or a value that the class refuses.
    """
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: wants a table, got {table!r}")
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls) if f.init}
    for key in table:
        if key not in known:
            raise RecipeError(f"{where}: unknown key '{key}'{_hint(key, known, 'keys')}")
    missing = [n for n, f in known.items() if n not in table and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise RecipeError(f"{where}: missing key '{missing[0]}'")
    values = {key: _convert(hints[key], value, f"{where}.{key}") for key, value in table.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from error


def build_kind(kinds: dict[str, type], table: dict[str, Any], where: str) -> Any:
    """Build what `table["kind"]` names in `kinds` (FILTERS, TASKS, ...) from the table's other keys.

    Raises:
        RecipeError: As `build`, or no such kind.
    """
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: wants a table, got {table!r}")
    if "kind" not in table:
        raise RecipeError(f"{where}: missing key 'kind'; known kinds: {', '.join(sorted(kinds))}")
    kind = table["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        raise RecipeError(f"{where}: unknown kind {kind!r}{_hint(kind, kinds, 'kinds')}")
    return build(kinds[kind], {key: value for key, value in table.items() if key != "kind"}, f"{where}({kind})")


def _hint(found: Any, known: Collection[str], what: str) -> str:
    near = difflib.get_close_matches(str(found), known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known {what}: {', '.join(sorted(known))}" if known else f"; there are no {what} here"


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        return build(hint, value, where)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in args):
            return value
        raise RecipeError(f"{where}: {value!r} is none of {', '.join(map(repr, args))}{_nearest(value, args)}")
    if origin in (Union, types.UnionType):  # TOML has no null, so a value that is there must be one of the others
        return _convert_to_one_of([arg for arg in args if arg is not types.NoneType], value, where)
    if origin is tuple and isinstance(value, list):
        return _convert_array(args, value, where)
    if origin is dict and isinstance(value, dict):
        return {key: _convert(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not (origin or hint) or (hint is float and math.isnan(value)):
        raise RecipeError(f"{where}: wants {_name(hint)}, got {value!r}")
    return value


def _convert_to_one_of(hints: list[Any], value: Any, where: str) -> Any:
    for number, hint in enumerate(hints, start=1):
        try:
            return _convert(hint, value, where)
        except RecipeError:
            if number == len(hints):
                raise
    raise AssertionError("a union has at least one member")


def _convert_array(args: tuple[Any, ...], value: list[Any], where: str) -> tuple[Any, ...]:
    if args[-1] is Ellipsis:
        args = args[:1] * len(value)
    if len(value) != len(args):
        raise RecipeError(f"{where}: wants {len(args)} values, got {len(value)}: {value!r}")
    return tuple(_convert(arg, item, f"{where}[{i}]") for i, (arg, item) in enumerate(zip(args, value, strict=True)))


def _nearest(value: Any, choices: tuple[Any, ...]) -> str:
    near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _name(hint: Any) -> str:
    kind = get_origin(hint) or hint
    if kind is tuple:
        return "array"
    return NAMES.get(kind, getattr(kind, "__name__", str(kind)))
