"""`mgpt refilter RECIPE --set filter.0.min_side=512`: decide a finished run anew with other thresholds, from its ledger alone.

No picture is read and no GPU is wanted: scores were kept for every sample, the rejected ones too. What is printed: the funnel before and
after, and the samples that change sides. Nothing in the output is changed; --write keeps the decisions, for a filter of kind `key_list`.

A filter can be left out, or have other thresholds. One that was not in the run has no scores, and an option that changes what is measured
wants a new run: both are refused by name. What comes after the filters (captions, sequences over the limit) is not foreseen.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.prepare import RECIPE_FILE
from jobs.recipe import Recipe
from jobs.run_plan import make_steps
from pipeline import paths
from pipeline.decide_units import SIGNATURES_FOLDER
from pipeline.decisions import Decisions, decide
from pipeline.errors import RecipeError, VerificationError
from pipeline.ledger import LEDGER_FOLDER

Outcome = tuple[str, str, str]  # disposition, stage, reason
CLIP_KEYS = ("model", "pretrained", "precision")
UNDECIDED: Outcome = ("undecided", "", "left out by a filter behind which nothing was measured")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", default="", metavar="FILE", help="a Parquet file of all decisions: key, disposition, stage, reason, was")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="samples to name of each change (default: 5)")
    parser.add_argument("--json", action="store_true", help="print for machines")


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """Decide anew and print; the exit code."""
    stored = stored_recipe(recipe.output)
    check_same_scores(recipe, stored)
    if args.dry_run:
        print(f"{recipe.output}: can be decided anew")
        return 0
    result = refilter(recipe, stored)
    if args.write:
        _write(result, args.write)
    if args.json:
        print(json.dumps(result.summary(args.show), indent=1))
    else:
        _print(result, args.show)
    return 0


@dataclass(frozen=True, eq=False)
class Refiltered:
    """What became of every sample, and what would now."""

    table: pa.Table  # the ledger
    before: list[Outcome]
    after: list[Outcome]
    decisions: Decisions

    def changes(self) -> dict[tuple[Outcome, Outcome], list[int]]:
        """Rows by what they were and what they would be, where that differs."""
        rows: dict[tuple[Outcome, Outcome], list[int]] = {}
        for row, (was, now) in enumerate(zip(self.before, self.after, strict=True)):
            if was != now:
                rows.setdefault((was, now), []).append(row)
        return dict(sorted(rows.items(), key=lambda item: (-len(item[1]), item[0])))

    def summary(self, show: int) -> dict[str, Any]:
        """For machines."""
        keys = self.table["key"]
        return {
            "before": [[*outcome, count] for outcome, count in Counter(self.before).most_common()],
            "after": [[*outcome, count] for outcome, count in Counter(self.after).most_common()],
            "changes": [
                {"was": was, "now": now, "count": len(rows), "keys": [keys[row].as_py() for row in rows[:show]]}
                for (was, now), rows in self.changes().items()
            ],
        }


def refilter(recipe: Recipe, stored: dict[str, Any]) -> Refiltered:
    """Decide a finished run anew.

    Args:
        recipe: With the new thresholds; its output is the run's.
        stored: The run's own recipe, resolved.

    Raises:
        RecipeError: The output has no ledger.
        VerificationError: Ledger and signatures do not belong together.
    """
    steps = make_steps(recipe)
    table = _with_signatures(recipe.output, _read_parts(paths.join(recipe.output, LEDGER_FOLDER)))
    decisions = decide(steps, table, stored["run"]["score_rejected"])
    columns = [table[name].to_pylist() for name in ("disposition", "stage", "reason")]
    before: list[Outcome] = list(zip(*columns, strict=True))
    decided = list(zip(*(decisions.columns[name] for name in ("disposition", "stage", "reason")), strict=True))
    names = {step.name for step in steps} | {table.get("name", table["kind"]) for table in stored["filter"]}
    after: list[Outcome] = [
        (now if now[0] else UNDECIDED if unknown else ("accepted", "", "") if was[1] in names else was)
        for was, now, unknown in zip(before, decided, decisions.undecided.tolist(), strict=True)
    ]
    return Refiltered(table, before, after, decisions)


def check_same_scores(recipe: Recipe, stored: dict[str, Any]) -> None:
    """The run measured all that the recipe's filters judge, and as they would.

    Raises:
        RecipeError: A filter that was not in the run, or an option that changes what is measured.
    """
    resolved = recipe.resolved()
    if resolved["source"] != stored["source"]:
        raise RecipeError(f"source: {recipe.output} was made of another one")
    if recipe.clip_filters and (other := [name for name in CLIP_KEYS if resolved["clip"][name] != stored.get("clip", {}).get(name)]):
        raise RecipeError(f"clip.{other[0]}: the run used another one; a new run is wanted")
    then = {table.get("name", table["kind"]): table for table in stored["filter"]}
    for number, ((filter_name, item), table) in enumerate(zip(recipe.filters, resolved["filter"], strict=True)):
        if then.get(filter_name, {}).get("kind") != table["kind"]:
            reason = f"'{filter_name}' was not in the run, so there are no scores to judge by; a new run is wanted"
            raise RecipeError(f"filter[{number}]: {reason}")
        for name in getattr(item, "measured_by", ()):
            if table[name] != then[filter_name].get(name):
                change = f"was {json.dumps(then[filter_name].get(name))}, the recipe now says {json.dumps(table[name])}"
                raise RecipeError(f"filter[{number}].{name}: {change}, which changes what is measured; a new run is wanted")


def stored_recipe(output: str) -> dict[str, Any]:
    """The resolved recipe of a run, as its output has it.

    Raises:
        RecipeError: There is none.
    """
    path = paths.join(output, RECIPE_FILE)
    if not paths.exists(path):
        raise RecipeError(f"{output}: no finished run here ({RECIPE_FILE} is missing)")
    stored: dict[str, Any] = json.loads(paths.read_bytes(path))["resolved"]
    return stored


def _read_parts(folder: str) -> pa.Table:
    tables = []
    for name in paths.list_files(folder) if paths.exists(folder) else ():
        fs, bare = paths.open_fs(paths.join(folder, name))
        with fs.open(bare, "rb") as file:
            tables.append(pq.read_table(file))
    if not tables:
        raise RecipeError(f"{folder}: no finished run here")
    return pa.concat_tables(tables)


def _with_signatures(output: str, table: pa.Table) -> pa.Table:
    folder = paths.join(output, SIGNATURES_FOLDER)
    if not paths.exists(folder):
        return table
    signatures = _read_parts(folder)
    if not signatures["key"].equals(table["key"]):
        raise VerificationError(f"{folder}: its rows are not those of the ledger")
    for name in signatures.column_names[1:]:
        table = table.append_column(name, signatures[name])
    return table


def _write(result: Refiltered, path: str) -> None:
    table = pa.table(
        {
            "key": result.table["key"],
            "disposition": [now[0] for now in result.after],
            "stage": [now[1] for now in result.after],
            "reason": [now[2] for now in result.after],
            "duplicate_of": result.decisions.columns["duplicate_of"],
            "was": [was[0] for was in result.before],
        }
    )
    paths.commit(path, partial(pq.write_table, table, compression="zstd"))


def _print(result: Refiltered, show: int) -> None:
    before, after = Counter(result.before), Counter(result.after)
    outcomes = sorted(before.keys() | after.keys(), key=lambda outcome: (-max(before[outcome], after[outcome]), outcome))
    print(f"{'before':>12}{'after':>12}{'change':>12}")
    for outcome in outcomes:
        change = after[outcome] - before[outcome]
        print(f"{before[outcome]:>12,}{after[outcome]:>12,}{f'{change:+,}' if change else '':>12}  {_words(outcome)}")
    changes = result.changes()
    come = sum(len(rows) for (_, now), rows in changes.items() if now[0] == "accepted")
    go = sum(len(rows) for (was, _), rows in changes.items() if was[0] == "accepted")
    print(f"\n{come:,} samples would come in, {go:,} would go out")
    keys = result.table["key"]
    for (was, now), changed in changes.items():
        named = ", ".join(keys[row].as_py() for row in changed[:show]) + (", …" if len(changed) > show else "")
        print(f"{len(changed):>12,}  {_words(was)} -> {_words(now)}" + (f": {named}" if show else ""))


def _words(outcome: Outcome) -> str:
    disposition, stage, reason = outcome
    return f"{disposition} by {stage}: {reason}" if stage else f"{disposition}, {reason}" if reason else disposition
