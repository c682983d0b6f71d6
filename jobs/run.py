"""`mgpt run RECIPE`: prepare, train, sample and report, one after the other; what is done is not done again."""

import argparse

from jobs import prepare, sample, train
from jobs.originals import read_originals
from jobs.recipe import Recipe
from jobs.report import write_report


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """All verbs in order; stops at the first that does not end with 0."""
    for verb in (prepare, train, sample):
        if code := verb.run(recipe, args):
            return code
    if not args.dry_run:
        print(f"report: {write_report(recipe.output, read_originals(recipe))}")
    return 0
