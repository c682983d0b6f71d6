"""`mgpt fit-vq RECIPE`: fit a VQGAN to pictures from any source.

[fit]                       the options of tokenizer/vq/fitting/options.py
config = "vqgan.yaml"
output = "runs/vq"
steps = 20_000

[[data]]                    as many as you like
weight = 1.0                share of the crops
source = { kind = "folder", path = "pictures" }

[[held_out]]                pictures to measure with
source = { kind = "folder", path = "held_out" }

On several GPUs: torchrun --nproc-per-node 8 -m jobs fit-vq RECIPE
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Any

from pipeline.config import build, build_kind
from pipeline.errors import RecipeError
from pipeline.paths import exists
from pipeline.sources import SOURCES, Source
from tokenizer.vq.config import read_config
from tokenizer.vq.fitting.options import FitOptions
from tokenizer.vq.fitting.pictures import Pool, load_pool


@dataclass(frozen=True)
class DataOptions:
    """One source of pictures."""

    source: dict  # a `[source]` table
    weight: float = 1.0  # share of the crops
    max_side: int = 768  # pixels of the shorter side that are kept in memory
    min_side: int = 64  # smaller pictures are left out
    memory_gb: float = 2.0  # of decoded pixels; what is beyond stays unread


@dataclass(frozen=True)
class FitRecipe:
    """A whole recipe, checked."""

    fit: FitOptions
    data: tuple[tuple[Source, DataOptions], ...]
    held_out: tuple[tuple[Source, DataOptions], ...]


def read_fit_recipe(document: dict[str, Any]) -> FitRecipe:
    """Check a parsed recipe, without torch and without reading pictures.

    Raises:
        RecipeError: Unknown keys, wrong types, no data, or a config that cannot be built.
    """
    unknown = document.keys() - {"fit", "data", "held_out"}
    if unknown:
        raise RecipeError(f"unknown table '{min(unknown)}'; known tables: fit, data, held_out")
    options: FitOptions = build(FitOptions, document.get("fit", {}), "fit")
    downsample = read_config(options.config).downsample
    if odd := [side for side in (*(side for size in options.sizes for side in size), options.held_out_size) if side % downsample]:
        raise RecipeError(f"fit: a code is {downsample} x {downsample} pixels, and {odd[0]} pixels a side hold no whole number of codes")
    if options.start_from and not exists(options.start_from):
        raise RecipeError(f"fit.start_from: {options.start_from}: no such file")
    if options.teacher.weights:
        read_config(options.teacher.config)
        if not exists(options.teacher.weights):
            raise RecipeError(f"fit.teacher.weights: {options.teacher.weights}: no such file")
    return FitRecipe(options, _read_data(document, "data"), _read_data(document, "held_out"))


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(tables: dict[str, Any], args: argparse.Namespace) -> int:
    """Fit, or with --dry-run only check the recipe; the exit code."""
    recipe = read_fit_recipe(tables)
    _report(_describe(recipe))
    if not args.dry_run:
        fit_vq_files(recipe)
    return 0


def fit_vq_files(recipe: FitRecipe) -> None:
    """Read the pictures and fit, with progress on standard error."""
    from tokenizer.vq.fitting.trainer import fit_vq

    pools, held_out = ([_load(source, options) for source, options in part] for part in (recipe.data, recipe.held_out))
    fit_vq(recipe.fit, pools, held_out, _report)


def _describe(recipe: FitRecipe) -> str:
    fit = recipe.fit
    begin = f"goes on from {fit.start_from}" if fit.start_from else "begins with random weights"
    lines = [f"network   {fit.config}, {begin}, learns: {fit.learns}"]
    sizes = dict(zip(fit.crop_sizes, fit.sizes, strict=True))
    batches = " or ".join(f"{fit.crops_a_step(size)} crops of {name}" for name, size in sizes.items())
    lines.append(f"steps     {fit.steps:,}, each with {batches}, {fit.precision}")
    terms = [f"{name} {weight:g}" for name, weight in vars(fit.losses).items() if weight]
    for name, term in (("perceptual", fit.perceptual), ("adversarial", fit.adversarial)):
        terms.append(f"{name} off" if term.kind == "off" else f"{name} {term.weight:g} ({term.kind})")
    terms.append(f"teacher {fit.teacher.weight:g} ({fit.teacher.weights})" if fit.teacher.weights else "teacher off")
    lines.append(f"losses    {', '.join(terms)}")
    for name, parts in (("data", recipe.data), ("held out", recipe.held_out)):
        lines += [f"{name:9} {options.source['kind']} {options.source.get('path', '')}, weight {options.weight:g}" for _, options in parts]
    return "\n".join([*lines, f"output    {fit.output}"])


def _read_data(document: dict[str, Any], name: str) -> tuple[tuple[Source, DataOptions], ...]:
    tables = document.get(name, [])
    if not tables:
        raise RecipeError(f"no [[{name}]] in the recipe")
    parts = []
    for i, table in enumerate(tables):
        options: DataOptions = build(DataOptions, table, f"{name}[{i}]")
        parts.append((build_kind(SOURCES, options.source, f"{name}[{i}].source"), options))
    return tuple(parts)


def _load(source: Source, options: DataOptions) -> Pool:
    pool = load_pool(source, options.weight, options.max_side, options.min_side, int(options.memory_gb * 1e9))
    rest = "" if pool.complete else "; the source holds more than memory_gb allows, the rest stays unread"
    _report(f"{options.source}: {len(pool.pictures)} pictures, {pool.num_bad} could not be used{rest}")
    return pool


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
