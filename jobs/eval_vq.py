"""`mgpt eval-vq RECIPE`: how well VQGANs bring pictures back, as figures and side by side.

output = "runs/eval_vq"     folder for eval.json and eval.html
target_sizes = [256, 512]   pixels, as [tokens] target_size

[[vq]]                      as many as you like; kind and its options as in [tokens] vq
name = "bundled"

[[data]]                    as many as you like
name = "photographs"
source = { kind = "folder", path = "pictures" }
limit = 1000
"""

import argparse
import json
import math
import platform
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jobs.reporting.vq_page import About, eval_page, markdown
from jobs.vq_evaluation import UNIT_SIZE, DataResult, NamedData, NamedVQ, Plan, Speed, evaluate_data, first_picture, time_vq
from pipeline import paths
from pipeline.buckets import make_buckets
from pipeline.config import build, build_kind
from pipeline.errors import RecipeError
from pipeline.sources import SOURCES, Source
from tokenizer.vq import VQ, VQ_BACKENDS

JSON_FILE, PAGE_FILE = "eval.json", "eval.html"


@dataclass(frozen=True)
class EvalOptions:
    """The top level of a recipe."""

    output: str  # folder for eval.json and eval.html
    vq: tuple[dict[str, Any], ...]  # `name`, and what a [tokens] vq table holds
    data: tuple[dict[str, Any], ...]
    target_sizes: tuple[int, ...] = (128, 256, 512)  # pixels a side of the square whose area a bucket has
    num_shown: int = 8  # pictures a source and target that the page shows
    seed: int = 0  # of the bootstrap and of the choice of shown pictures
    speed_seconds: float = 5.0  # how long encoding and decoding are timed at least, each, by VQ and target; 0 does not time them

    def __post_init__(self) -> None:
        if not self.output:
            raise RecipeError("output: a folder is wanted")
        for name in ("vq", "data", "target_sizes"):
            if not getattr(self, name):
                raise RecipeError(f"{name}: at least one is wanted")
        for name in ("num_shown", "seed", "speed_seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise RecipeError(f"{name}: 0 or more is wanted, got {getattr(self, name)}")
        if twice := _twice(self.target_sizes):
            raise RecipeError(f"target_sizes: {twice[0]} is listed twice")


@dataclass(frozen=True)
class DataOptions:
    """One source of pictures."""

    name: str
    source: dict[str, Any]  # a `[source]` table
    limit: int = 1000  # pictures measured at most, from the beginning; 0: all

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise RecipeError(f"data '{self.name}': limit: 0 or more is wanted, got {self.limit}")


@dataclass(frozen=True)
class EvalRecipe:
    """A whole recipe, checked."""

    options: EvalOptions
    vqs: tuple[tuple[str, str, VQ], ...]  # name, kind
    data: tuple[NamedData, ...]
    tables: dict[str, Any]  # as written, overrides applied


def read_eval_recipe(tables: dict[str, Any]) -> EvalRecipe:
    """Check a parsed recipe, without torch and without reading pictures.

    Raises:
        RecipeError: Unknown keys, wrong types, names that occur twice, missing files, or a target whose pictures hold no whole number of
            codes.
    """
    options: EvalOptions = build(EvalOptions, tables, "recipe")
    vqs = tuple(_read_vq(table, f"vq[{i}]") for i, table in enumerate(options.vq))
    data = tuple(_read_data(table, f"data[{i}]") for i, table in enumerate(options.data))
    for where, names in (("vq", [name for name, _, _ in vqs]), ("data", [each.name for each in data])):
        if twice := _twice(names):
            raise RecipeError(f"{where}: two of them are named '{twice[0]}'")
    for target in options.target_sizes:
        for name, _, vq in vqs:
            _check_target(target, name, vq.downsample)
    return EvalRecipe(options, vqs, data, tables)


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(tables: dict[str, Any], args: argparse.Namespace) -> int:
    """Evaluate, or with --dry-run only check the recipe; the exit code."""
    recipe = read_eval_recipe(tables)
    print(_describe(recipe), file=sys.stderr)
    if not args.dry_run:
        print(markdown(evaluate_files(recipe)))
    return 0


def evaluate_files(recipe: EvalRecipe) -> list[DataResult]:
    """Evaluate and write `eval.json` and `eval.html`, with progress on standard error.

    Raises:
        RecipeError: Weights do not fit their config, or a source has no picture that can be used.
    """
    options = recipe.options
    plan = Plan(options.target_sizes, options.num_shown, options.seed)
    pictures = [first_picture(data) for data in recipe.data]  # of every source, before any work
    vqs = tuple(NamedVQ(name, vq.load(), vq.num_codes) for name, _, vq in recipe.vqs)
    speeds: dict[tuple[str, int], Speed] = {}
    for target in options.target_sizes if options.speed_seconds else ():
        for vq in vqs:
            speeds[vq.name, target] = speed = time_vq(vq.loaded, pictures[0], target, options.speed_seconds)
            _report(f"{vq.name} at {target}: {speed.encode:.2f} encoded a second, {speed.decode:.2f} decoded")
    results = [evaluate_data(data, vqs, plan, speeds, _report) for data in recipe.data]
    about = _about(recipe)
    for name, content in ((JSON_FILE, _document(about, results)), (PAGE_FILE, eval_page(about, results))):
        path = paths.join(options.output, name)
        paths.commit_bytes(path, content)
        _report(path)
    return results


def _read_vq(table: dict[str, Any], where: str) -> tuple[str, str, VQ]:
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise RecipeError(f"{where}.name: a name is wanted, got {name!r}")
    table = {"kind": "chameleon"} | {key: value for key, value in table.items() if key != "name"}
    vq: VQ = build_kind(VQ_BACKENDS, table, where)
    vq.check()
    return name, table["kind"], vq


def _read_data(table: dict[str, Any], where: str) -> NamedData:
    options: DataOptions = build(DataOptions, table, where)
    if not options.name:
        raise RecipeError(f"{where}.name: a name is wanted, got ''")
    source: Source = build_kind(SOURCES, options.source, f"{where}.source")
    if not source.plan(UNIT_SIZE):
        raise RecipeError(f"{where}.source: there are no samples in it")
    return NamedData(options.name, source, options.limit)


def _check_target(target: int, name: str, downsample: int) -> None:
    try:
        buckets = make_buckets(target)
    except ValueError as error:
        raise RecipeError(f"target_sizes: {error}") from error
    if odd := [bucket for bucket in buckets if bucket[0] % downsample or bucket[1] % downsample]:
        size = f"{odd[0][0]} x {odd[0][1]}"
        raise RecipeError(
            f"target_sizes: {target}: pictures of {size} hold no whole number of codes; '{name}' has one for {downsample} pixels"
        )


def _twice(values: Any) -> list[Any]:
    return [value for i, value in enumerate(values) if value in values[:i]]


def _describe(recipe: EvalRecipe) -> str:
    lines = [f"vq       {name}: {vq.num_codes} codes of {vq.downsample} x {vq.downsample} pixels" for name, _, vq in recipe.vqs]
    lines += [f"data     {data.name}: " + (f"at most {data.limit} pictures" if data.limit else "all pictures") for data in recipe.data]
    lines.append(f"targets  {', '.join(map(str, recipe.options.target_sizes))}")
    return "\n".join([*lines, f"output   {recipe.options.output}"])


def _about(recipe: EvalRecipe) -> About:
    """What the figures depend on besides the pictures."""
    import torch
    import torchmetrics

    machine: dict[str, str | int] = {
        "cpu": _cpu_name(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torchmetrics": torchmetrics.__version__,
        "python": platform.python_version(),
    }
    vqs = tuple(
        {"name": name, "kind": kind}
        | _options(vq)
        | {"downsample": vq.downsample, "num_codes": vq.num_codes, "fingerprint": vq.fingerprint()}
        for name, kind, vq in recipe.vqs
    )
    return About(recipe.tables, machine, vqs, {data.name: data.source.fingerprint() for data in recipe.data})


def _options(vq: Any) -> dict[str, Any]:
    return {f.name: getattr(vq, f.name) for f in fields(vq) if f.init}


def _cpu_name() -> str:
    """As Linux names it; elsewhere the architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _document(about: About, results: list[DataResult]) -> bytes:
    content = {
        **asdict(about),
        "data": [{"name": result.name, "num_pictures": result.num_pictures, "bad": result.bad} for result in results],
        "figures": [_flat(asdict(cell), "figures") for result in results for cell in result.cells],
        "pictures": [_flat(asdict(row), "scores") for result in results for row in result.rows],
    }
    return (json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n").encode()


def _flat(row: dict[str, Any], inner: str) -> dict[str, Any]:
    """A row with the table that lies in it."""
    table: dict[str, Any] = row.pop(inner)
    return row | table


def _without_nan(value: Any) -> Any:
    """What JSON cannot say, a number that is none, becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
