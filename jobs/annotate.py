"""`mgpt annotate RECIPE`: filters and annotators alone, into image shards: what models say of a picture is said once, for many runs.

OUTPUT/images then is a source of kind `webdataset`: maps are further pictures of a sample (KEY.depth.png), detections, poses, captions and
dialogues stand in its JSON. Filters that compare samples are left to `prepare`.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jobs.prepare import claim, exit_code, run_units
from jobs.progress import Progress
from jobs.recipe import Recipe
from jobs.run_plan import check_weights, digest, make_annotators, make_steps
from pipeline import paths
from pipeline.annotate_job import IMAGES_FOLDER, AnnotateJob
from pipeline.errors import RecipeError
from pipeline.sources.unit import Unit
from pipeline.stage import Rule
from pipeline.unit_files import UnitReport

TOKENS_ONLY = ("tokens", "task", "format_version")  # parts of a run's identity that leave no trace in image shards


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """Annotate, or with --dry-run say what would be done; the exit code."""
    job, units, identity = plan_annotation(recipe)
    print(f"source      {len(units)} units")
    print(f"filters     {', '.join(name for name, _ in recipe.filters) or 'none'}")
    print(f"annotators  {', '.join(kind for kind, _ in recipe.annotators) or 'none'}")
    print(f"output      {job.folder}")
    if args.dry_run:
        return 0
    counts = annotate(recipe, job, units, identity)
    print(f"{counts['input']} samples: {counts['accepted']} accepted, {counts['rejected']} rejected, {counts['failed']} failed")
    return exit_code(recipe, counts)


def plan_annotation(recipe: Recipe) -> tuple[AnnotateJob, tuple[Unit, ...], dict[str, Any]]:
    """The job, its units, and what the data depends on.

    Raises:
        RecipeError: There is no source or nothing in it, a filter compares samples, or weights cannot be had.
    """
    if recipe.source is None:
        raise RecipeError("source: missing; a recipe for `annotate` says where its samples are")
    steps = (*make_steps(recipe), *make_annotators(recipe))
    for step in steps:
        if isinstance(step, Rule) and step.compares:
            raise RecipeError(f"filter {step.name}: compares samples over the run, which `annotate` does not; leave it to `prepare`")
    check_weights(recipe)
    whole = recipe.data_identity()
    identity = {name: value for name, value in whole.items() if name not in TOKENS_ONLY}
    identity["fingerprints"] = {name: value for name, value in whole["fingerprints"].items() if name not in ("vocabulary", "vq")}
    scores = tuple(score for step in steps if isinstance(step, Rule) for score in step.scores)
    job = AnnotateJob(recipe.source, steps, scores, digest(identity), paths.join(recipe.output, IMAGES_FOLDER))
    units = tuple(recipe.source.plan(recipe.run.unit_size))
    if not units:
        raise RecipeError("source: there are no samples in it")
    return job, units, identity


def annotate(recipe: Recipe, job: AnnotateJob, units: tuple[Unit, ...], identity: dict[str, Any]) -> dict[str, int]:
    """Do what is left to do; samples by disposition.

    Raises:
        ResumeError: The folder holds another run's images.
        PlanError: The cluster cannot hold the plan.
        ShardError: A unit could not be done; the others are kept.
    """
    claim(job.folder, identity, recipe.resolved())
    paths.remove_temporaries(job.folder)
    done = [report for unit in units if (report := job.load_report(unit.index))]
    todo = [unit for unit in units if unit.index not in {report.unit for report in done}]
    reports = list(done)
    with Progress("score", len(units), done) as progress:
        if todo:
            _run(recipe, job, todo, lambda report: (reports.append(report), progress.add(report)))
    return {name: sum(report.counts[name] for report in reports) for name in ("input", "accepted", "rejected", "failed")}


def _run(recipe: Recipe, job: AnnotateJob, todo: list[Unit], on_report: Callable[[UnitReport], Any]) -> None:
    fresh = replace(job, steps=copy.deepcopy(job.steps))  # what steps load goes with them
    run_units(recipe, fresh, todo, on_report)
