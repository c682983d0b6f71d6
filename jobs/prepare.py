"""`mgpt prepare RECIPE`: from samples to token shards and the ledger."""

import argparse
import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jobs.progress import Progress, print_funnel
from jobs.recipe import Recipe
from jobs.run_plan import Plan, make_plan
from pipeline import paths
from pipeline.decide_units import SIGNATURES_FOLDER, decide_units, write_signatures
from pipeline.errors import ResumeError
from pipeline.executor import Job, run_inprocess
from pipeline.ledger import LEDGER_FOLDER
from pipeline.merge import Identity, merge_units
from pipeline.shards.manifest import Manifest, load_manifest
from pipeline.shards.schema import MANIFEST, TOKENS_FOLDER
from pipeline.sources.unit import Unit
from pipeline.unit_files import Pass, UnitReport, load_report

RECIPE_FILE = "recipe.json"  # in the output: the resolved recipe, and what the data depends on
TOO_MANY_FAILED = 3  # exit code


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """Prepare, or with --dry-run say what would be done; the exit code."""
    plan = make_plan(recipe)
    print(plan.describe())
    if args.dry_run:
        return 0
    manifest = prepare(plan)
    print_funnel(recipe.output)
    return exit_code(recipe, manifest.counts)


def prepare(plan: Plan) -> Manifest:
    """Do what is left to do of a plan, and return the manifest of the finished output.

    Raises:
        ResumeError: The output holds another run's data.
        PlanError: The cluster cannot hold the plan.
        ShardError: A unit could not be done; the others are kept.
    """
    recipe = plan.recipe
    claim(recipe.output, plan.identity, recipe.resolved())
    tokens_folder = paths.join(recipe.output, TOKENS_FOLDER)
    if paths.exists(paths.join(tokens_folder, MANIFEST)):
        paths.remove_tree(plan.work_folder)
        print(f"{recipe.output}: already done")
        return load_manifest(tokens_folder)
    beside = (paths.join(recipe.output, name) for name in (LEDGER_FOLDER, SIGNATURES_FOLDER))
    for folder in (plan.work_folder, tokens_folder, recipe.output, *beside):
        paths.remove_temporaries(folder)
    for part in plan.passes:
        _do_pass(plan, part)
    manifest = _merge(plan)
    paths.remove_tree(plan.work_folder)
    return manifest


def exit_code(recipe: Recipe, counts: Mapping[str, int]) -> int:
    """0, or 3 when more of the input failed than the recipe allows."""
    failed, total = counts["failed"], max(counts["input"], 1)
    if failed / total <= recipe.run.max_failed_fraction:
        return 0
    print(f"{failed} of {total} samples failed ({failed / total:.1%}); run.max_failed_fraction allows {recipe.run.max_failed_fraction:.1%}")
    return TOO_MANY_FAILED


def _do_pass(plan: Plan, part: Pass) -> None:
    units = [unit.index for unit in plan.units]
    if part == "encode":
        assign = plan.job.finisher.assign if plan.job.finisher.plans else None
        kept = decide_units(plan.work_folder, units, plan.job.steps, plan.recipe.run.score_rejected, assign)
        print(f"decided: {kept} samples are kept", flush=True)
    reports = {unit: load_report(plan.work_folder, unit, plan.job.fingerprint, part) for unit in units}
    todo = [unit for unit in plan.units if reports[unit.index] is None]
    with Progress(part, len(units), [report for report in reports.values() if report]) as progress:
        if todo:
            _run_units(plan, part, todo, progress.add)


def _run_units(plan: Plan, part: Pass, units: list[Unit], on_report: Callable[[UnitReport], None]) -> None:
    job = replace(plan.job, part=part, steps=copy.deepcopy(plan.job.steps))  # what steps load goes with the pass
    run_units(plan.recipe, job, units, on_report)


def run_units(recipe: Recipe, job: Job, units: list[Unit], on_report: Callable[[UnitReport], None]) -> None:
    """Do units by the executor that the recipe names."""
    if recipe.run.executor == "ray":
        from pipeline.ray_runner import run_on_ray

        run_on_ray(job, recipe.vq, units, on_report, recipe.run.workers, recipe.run.address)
    else:
        run_inprocess(job, recipe.vq, units, on_report)


def _merge(plan: Plan) -> Manifest:
    recipe, vocab = plan.recipe, plan.recipe.vocab()
    identity = Identity(
        token_dtype=plan.job.token_dtype,
        vocabulary={"fingerprint": vocab.fingerprint, "size": vocab.size},
        vq=recipe.resolved()["tokens"]["vq"] | {"fingerprint": recipe.vq.fingerprint()},
        recipe=plan.job.fingerprint,
        text_tokenizer=paths.read_bytes(recipe.tokens.text_path),
    )
    units = [unit.index for unit in plan.units]
    if plan.job.signers:
        write_signatures(recipe.output, plan.work_folder, units, plan.job.signers)
    return merge_units(recipe.output, plan.work_folder, units, identity, recipe.tokens.shard_bytes)


def claim(folder: str, identity: dict[str, Any], resolved: dict[str, Any]) -> None:
    """Write the recipe into an output, or check that it is the one that lies there.

    Raises:
        ResumeError: It is another one, or there is data without any.
    """
    path = paths.join(folder, RECIPE_FILE)
    if paths.exists(path):
        try:
            stored = json.loads(paths.read_bytes(path))["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise ResumeError(f"{path}: damaged ({error}); take another output, or remove this one") from error
        differences = list(_differences(stored, identity, ""))
        if differences:
            shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
            raise ResumeError(f"{folder} holds data of another recipe or input: {shown}. Take another output, or remove this one.")
        return
    if paths.exists(paths.join(folder, TOKENS_FOLDER, MANIFEST)):
        raise ResumeError(f"{folder} holds token shards without {RECIPE_FILE}; take another output")
    content = {"identity": identity, "resolved": resolved}
    paths.commit_bytes(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def _differences(stored: Any, wanted: Any, path: str) -> Any:
    """Each place where two trees differ, in words."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in sorted(stored.keys() | wanted.keys()):
            yield from _differences(stored.get(name), wanted.get(name), f"{path}.{name}" if path else name)
    elif isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        for number, (old, new) in enumerate(zip(stored, wanted, strict=True)):
            yield from _differences(old, new, f"{path}[{number}]")
    elif stored != wanted:
        yield f"{path} was {json.dumps(stored)}, the recipe now says {json.dumps(wanted)}"
