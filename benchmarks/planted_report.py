"""Ask the filters of a recipe about a planted set, by the scoring pass of `mgpt prepare`, and print what they found and what they lost."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.recipe import build_recipe, load_tables
from jobs.run_plan import make_plan
from pipeline.decide_units import decide_units
from pipeline.executor import run_inprocess
from pipeline.unit_files import read_ledger, unit_files

WEIGHTLESS = (
    *("flat_picture", "entropy", "blur", "borders", "screenshot"),
    *("caption_text", "caption_characters", "caption_content", "caption_language"),
)
NEEDS = {  # classes that no filter without weights is meant to find
    "soft": "not aimed at",
    "text_laden": "ocr",
    "wrong_caption": "CLIP",
    "cropped_duplicate": "CLIP: near_duplicates",
}
PAIRED = ("exact_duplicate", "near_duplicate", "cropped_duplicate")
GOOD = "good"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a sample; "" where it was kept."""

    reason: str
    stage: str
    duplicate_of: str


def weightless_filters(blocked_words: Sequence[str]) -> list[dict[str, Any]]:
    """All filters that need no weights, with their defaults; lists where there is no default."""
    return [
        *({"kind": kind} for kind in WEIGHTLESS),
        {"kind": "blocked_words", "words": list(blocked_words)},
        {"kind": "metadata_values", "name": "nsfw_verdict", "column": "NSFW", "drop": ["NSFW"]},
        {"kind": "metadata_range", "name": "punsafe", "column": "punsafe", "max": 0.5},
        {"kind": "robots"},
        {"kind": "exact_duplicates"},
        {"kind": "perceptual_duplicates"},
    ]


def decide(output: str, recipe_file: str, blocked_words: Sequence[str], also: Sequence[str] = ()) -> dict[str, Fate]:
    """Every key's fate, by the filters of a recipe, or by those that need no weights and those of the kinds `also`."""
    tables: dict[str, Any] = {"filter": [*weightless_filters(blocked_words), *({"kind": kind} for kind in also)]}
    if recipe_file:
        tables = load_tables(recipe_file, [])
    run = Path(output) / "run"
    shutil.rmtree(run, ignore_errors=True)
    tables |= {"output": str(run), "source": {"kind": "webdataset", "path": str(Path(output) / "shards" / "*.tar")}}
    plan = make_plan(build_recipe(tables))
    run_inprocess(replace(plan.job, part="score"), plan.recipe.vq, plan.units, lambda report: None)
    units = [unit.index for unit in plan.units]
    decide_units(plan.work_folder, units, plan.job.steps, plan.recipe.run.score_rejected)
    rows = (row for unit in units for row in read_ledger(plan.work_folder, unit_files(unit).decided).to_pylist())
    return {row["key"]: Fate(row["reason"], row["stage"], row["duplicate_of"]) for row in rows}


def recalls(fates: Mapping[str, Fate], truth: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Of every planted class, the share that is left out; of duplicates, the share of pairs of which one is."""
    caught = defaultdict(list)
    for item in truth:
        caught[item["label"]].append(_is_caught(item, fates))
    return {label: sum(each) / len(each) for label, each in caught.items() if label != GOOD}


def _is_caught(item: Mapping[str, str], fates: Mapping[str, Fate]) -> bool:
    """Of a pair of copies it does not matter which of the two is left out."""
    return bool(fates[item["key"]].reason) or (item["label"] in PAIRED and bool(fates[item["of"]].duplicate_of))


def lost(fates: Mapping[str, Fate], truth: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Good samples that are left out, other than for a copy that is kept in their place."""
    return [item for item in truth if item["label"] == GOOD and fates[item["key"]].reason and not fates[item["key"]].duplicate_of]


def print_report(fates: Mapping[str, Fate], truth: Sequence[Mapping[str, str]]) -> None:
    """Recall by class and kind, precision by reason, as Markdown."""
    labels = dict.fromkeys(item["label"] for item in truth)
    recall, good = recalls(fates, truth), sum(item["label"] == GOOD for item in truth)
    print("| class | planted | recall | found by | missed kinds | wants |\n|---|---|---|---|---|---|")
    for label in labels:
        if label == GOOD:
            continue
        items = [item for item in truth if item["label"] == label]
        stages = Counter(fates[item["key"]].stage or fates[item["of"]].stage for item in items if _is_caught(item, fates))
        missed = Counter(item["kind"] for item in items if not _is_caught(item, fates))
        print(f"| {label} | {len(items)} | {recall[label]:.3f} | {_listed(stages)} | {_listed(missed)} | {NEEDS.get(label, '')} |")
    gone = lost(fates, truth)
    print(f"\nGood samples lost: {len(gone)} of {good} ({len(gone) / good:.2%})")
    for item in gone:
        print(f"- {item['photo']} ({item['key']}): {fates[item['key']].reason}")
    print("\n| reason | left out | planted ones | good ones | precision |\n|---|---|---|---|---|")
    bad_ones = Counter(fates[item["key"]].reason for item in gone)
    for reason, count in sorted(Counter(fate.reason for fate in fates.values() if fate.reason).items()):
        wrong = bad_ones[reason]
        print(f"| {reason} | {count} | {count - wrong} | {wrong} | {1 - wrong / count:.3f} |")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
