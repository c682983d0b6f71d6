"""A recipe table becomes a dataclass, or is refused with its path."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from pipeline.config import build, build_kind
from pipeline.errors import RecipeError


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Options:
    path: str
    count: int = 3
    share: float = 0.5
    fast: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    level: Literal[1, 2] = 1
    names: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)
    weights: dict[str, float] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    limit: int | None = None
    seed_or_name: int | str = 0
    anything: Any = None
    made: int = field(default=0, init=False)

    def __post_init__(self):
        if self.count < 0:
            raise ValueError(f"count is at least 0, got {self.count}")


def options(**table):
    return build(Options, {"path": "x", **table}, "source")


def test_what_is_left_out_has_its_default():
    assert options() == Options("x")


@pytest.mark.parametrize(
    "table, name, value",
    [
        ({"share": 1}, "share", 1.0),
        ({"names": ["a", "b"]}, "names", ("a", "b")),
        ({"names": []}, "names", ()),
        ({"bounds": [1, 2.5]}, "bounds", (1.0, 2.5)),
        ({"weights": {"a": 1}}, "weights", {"a": 1.0}),
        ({"inner": {"depth": 4}}, "inner", Inner(4)),
        ({"limit": 7}, "limit", 7),
        ({"seed_or_name": 3}, "seed_or_name", 3),
        ({"seed_or_name": "c"}, "seed_or_name", "c"),
        ({"dtype": "bfloat16"}, "dtype", "bfloat16"),
        ({"anything": [{"a": 1}]}, "anything", [{"a": 1}]),
    ],
)
def test_values_take_their_field_s_type(table, name, value):
    built = getattr(options(**table), name)
    assert built == value and type(built) is type(value)


@pytest.mark.parametrize(
    "table, message",
    [
        ({"cuont": 3}, r"source: unknown key 'cuont'; did you mean 'count'\?"),
        ({"zzz": 3}, "source: unknown key 'zzz'; known keys: anything, bounds, .*weights"),
        ({"made": 3}, "unknown key 'made'"),
        ({"count": "3"}, r"source\.count: wants int, got '3'"),
        ({"count": True}, "source.count: wants int, got True"),
        ({"count": 3.0}, r"source.count: wants int, got 3\.0"),
        ({"count": -1}, "source: count is at least 0, got -1"),
        ({"fast": 1}, "source.fast: wants bool, got 1"),
        ({"share": "1"}, "source.share: wants float"),
        ({"share": True}, "source.share: wants float"),
        ({"share": float("nan")}, "source.share: wants float, got nan"),
        ({"dtype": "bfloat"}, r"'bfloat' is none of 'float32', 'bfloat16'; did you mean 'bfloat16'\?"),
        ({"level": True}, "source.level: True is none of 1, 2"),
        ({"names": "a"}, "source.names: wants array, got 'a'"),
        ({"names": ["a", 1]}, r"source.names\[1\]: wants str, got 1"),
        ({"bounds": [1.0]}, "source.bounds: wants 2 values, got 1"),
        ({"weights": [1]}, r"source.weights: wants table, got \[1\]"),
        ({"weights": {"a": "b"}}, "source.weights.a: wants float, got 'b'"),
        ({"inner": 3}, "source.inner: wants a table, got 3"),
        ({"inner": {"dept": 3}}, r"source.inner: unknown key 'dept'; did you mean 'depth'\?"),
        ({"limit": "a"}, "source.limit: wants int, got 'a'"),
        ({"seed_or_name": 1.5}, "source.seed_or_name: wants str"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(table, message):
    with pytest.raises(RecipeError, match=message):
        options(**table)


def test_a_missing_key_is_named():
    with pytest.raises(RecipeError, match="source: missing key 'path'"):
        build(Options, {}, "source")


@pytest.mark.parametrize(
    "table, message",
    [
        ({"kind": "foldr"}, r"source: unknown kind 'foldr'; did you mean 'folder'\?"),
        ({"kind": "zzz"}, "source: unknown kind 'zzz'; known kinds: folder, tar"),
        ({"kind": 3}, "source: unknown kind 3"),
        ({"kind": ["folder"]}, "source: unknown kind"),
        ({}, "source: missing key 'kind'; known kinds: folder, tar"),
        ("folder", "source: wants a table, got 'folder'"),
        ({"kind": "folder", "deep": 3}, r"source\(folder\): unknown key 'deep'; did you mean 'depth'\?"),
    ],
)
def test_an_unknown_kind_is_refused(table, message):
    with pytest.raises(RecipeError, match=message):
        build_kind({"folder": Inner, "tar": Inner}, table, "source")


def test_a_kind_is_built_from_the_other_keys():
    assert build_kind({"folder": Inner}, {"kind": "folder", "depth": 2}, "source") == Inner(2)
