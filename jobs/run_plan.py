"""A run, checked but not begun: what `mgpt prepare` will do, and all that can be refused before it does anything."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from filters.annotators import check_annotator
from filters.caption_scores import CaptionScores
from filters.clip_stage import ClipStage
from filters.stage import AnnotatorStage, named_rule
from jobs.recipe import Recipe
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.sources.unit import Unit
from pipeline.stage import Stage, Step
from pipeline.unit_files import WORK_FOLDER, Pass
from pipeline.unit_job import UnitJob
from tokenizer.finisher import SEQUENCE_TOKENS, TOO_LONG_TASKS, SequenceMaker


@dataclass(frozen=True)
class Plan:
    """A run, checked but not begun."""

    recipe: Recipe
    job: UnitJob
    units: tuple[Unit, ...]
    identity: dict[str, Any]  # what the data depends on

    @property
    def passes(self) -> tuple[Pass, ...]:
        """One, or two where the run is decided as a whole before anything is encoded."""
        has_models = any(step.model for step in self.job.steps)
        return ("score", "encode") if self.job.signers or has_models or self.job.finisher.plans else ("all",)

    @property
    def work_folder(self) -> str:
        return self.job.work_folder

    def describe(self) -> str:
        """The plan in words."""
        recipe = self.recipe
        filters = ", ".join(name for name, _ in recipe.filters) or "none"
        tasks = ", ".join(f"{task.kind} (weight {task.weight:g})" for task in recipe.tasks)
        kinds = " + ".join(table["kind"] for table in recipe.resolved()["source"])
        records = (
            "an unknown number of" if any(unit.stop is None for unit in self.units) else str(sum(u.stop - u.start for u in self.units))
        )
        return "\n".join(
            [
                f"source      {kinds}: {records} samples in {len(self.units)} units",
                f"filters     {filters}",
                f"clip        {_clip_in_words(recipe)}",
                *(f"weights     {kind}: {item.weights}" for kind, item in recipe.filters if hasattr(item, "weights")),
                f"annotators  {', '.join(kind for kind, _ in recipe.annotators) or 'none'}",
                f"tasks       {tasks}",
                f"mixture     {recipe.tokens.mixture}, weights count {recipe.tokens.weights_count}",
                f"tokens      target {recipe.tokens.target_size}²; sequences of at most {recipe.tokens.max_tokens}, {self.job.token_dtype}",
                f"passes      {', '.join(self.passes)}",
                f"executor    {recipe.run.executor}",
                f"output      {recipe.output}",
            ]
        )


def make_plan(recipe: Recipe) -> Plan:
    """Check everything that can be checked before work starts.

    Raises:
        RecipeError: There is no source, or nothing in it.
    """
    if recipe.source is None:
        raise RecipeError("source: missing; a recipe for `prepare` says where its samples are")
    vocab = recipe.vocab()
    promised = _promised(recipe)
    check_weights(recipe)
    identity = recipe.data_identity()
    job = UnitJob(
        source=recipe.source,
        steps=make_steps(recipe),
        annotators=make_annotators(recipe),
        score_names=(*(score for name, item in recipe.filters for score in named_rule(name, item).scores), SEQUENCE_TOKENS, TOO_LONG_TASKS),
        finisher=SequenceMaker(recipe.tokens, recipe.tasks, recipe.seed, promised, _promised(recipe, replaced=True)),
        token_dtype=vocab.dtype.name,
        fingerprint=digest(identity),
        work_folder=paths.join(recipe.output, WORK_FOLDER),
        batch_pixels=recipe.tokens.batch_pixels,
        waiting_pixels=recipe.tokens.waiting_pixels,
        score_rejected=recipe.run.score_rejected,
    )
    units = tuple(recipe.source.plan(recipe.run.unit_size))
    if not units:
        raise RecipeError("source: there are no samples in it")
    return Plan(recipe, job, units, identity)


def make_steps(recipe: Recipe) -> tuple[Step, ...]:
    """What samples pass before they are annotated."""
    rules: list[Step] = [named_rule(name, item) for name, item in recipe.filters]
    if recipe.clip_filters:
        first = [name for name, _ in recipe.filters].index(recipe.clip_filters[0])
        with_text = any(getattr(item, "needs_clip_text", False) for _, item in recipe.filters)
        rules.insert(first, ClipStage(recipe.clip, with_text))
    return tuple(rules)


def make_annotators(recipe: Recipe) -> tuple[Stage, ...]:
    """What is said of the samples that are kept."""
    stages: list[Stage] = [AnnotatorStage(kind, item) for kind, item in recipe.annotators]
    if recipe.scores_captions:
        stages.append(CaptionScores(ClipStage(recipe.clip)))
    return tuple(stages)


def _promised(recipe: Recipe, replaced: bool = False) -> tuple[str, ...]:
    """The roles that annotators are sure to add.

    Args:
        replaced: Only those that take the place of what a sample brings.

    Raises:
        RecipeError: The mixture is to be planned, and cannot be foreseen.
    """
    unsure = [kind for kind, item in recipe.annotators if not getattr(item, "adds", ())]
    if unsure and recipe.tokens.mixture == "planned":
        raise RecipeError(
            f"tokens.mixture: what annotator {unsure[0]} will say of a sample is not known when the mixture is planned; annotate first and "
            "prepare what that wrote (mgpt annotate), or set it to 'drawn'"
        )
    sure = (item for _, item in recipe.annotators if not replaced or getattr(item, "replace_existing", False))
    return tuple(dict.fromkeys(role for item in sure for role in getattr(item, "adds", ())))


def check_weights(recipe: Recipe) -> None:
    """
    Raises:
        RecipeError: Something that filters or annotators name cannot be had.
    """
    for _, item in recipe.filters:
        if hasattr(item, "check"):
            item.check()
    for _, annotator in recipe.annotators:
        check_annotator(annotator)
    if not recipe.clip_filters and not recipe.scores_captions:
        return
    try:
        recipe.clip.check()
    except RecipeError as error:
        raise RecipeError(f"{error} (wanted by {_clip_users(recipe)})") from error
    for _, item in recipe.filters:
        if hasattr(item, "head_file"):
            item.head_file.check(recipe.clip)


def _clip_in_words(recipe: Recipe) -> str:
    if not recipe.clip_filters and not recipe.scores_captions:
        return "off"
    clip = recipe.clip
    name = f"{clip.model}, {clip.pretrained}" if clip.pretrained else clip.model
    return f"{name} ({clip.precision}) for {_clip_users(recipe)}"


def _clip_users(recipe: Recipe) -> str:
    captions = ["the captions' scores"] if recipe.scores_captions else []
    return ", ".join([*(f"filter {kind}" for kind in recipe.clip_filters), *captions])


def digest(identity: dict[str, Any]) -> str:
    """sha256 in hex of what data depends on."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
