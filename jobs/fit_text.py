"""`mgpt fit-text RECIPE`: make a text tokenizer in Chameleon's layout from text files.

output = "runs/text_tokenizer.json"
vocab_size = 65_536
files = ["text/*.txt"]      # UTF-8; patterns are sorted, so that the same files give the same tokenizer
"""

import argparse
import glob
from dataclasses import dataclass
from typing import Any

from pipeline.config import build
from pipeline.errors import RecipeError
from pipeline.paths import commit_bytes
from tokenizer.fit_text import fit_text, read_texts, to_json


@dataclass(frozen=True)
class FitTextRecipe:
    """The options of `mgpt fit-text`."""

    files: tuple[str, ...]  # text files or patterns, UTF-8
    output: str  # the `text_tokenizer.json` to write
    vocab_size: int = 65_536  # ids in all; 16,644 of them are the layout's


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(tables: dict[str, Any], args: argparse.Namespace) -> int:
    """Fit, or with --dry-run only check the recipe; the exit code."""
    recipe: FitTextRecipe = build(FitTextRecipe, tables, "recipe")
    if not args.dry_run:
        fit_text_files(recipe)
    return 0


def fit_text_files(recipe: FitTextRecipe) -> None:
    """Write the tokenizer that a recipe asks for.

    Raises:
        RecipeError: A pattern names no file, or the text is too little.
    """
    paths: list[str] = []
    for pattern in recipe.files:
        found = sorted(glob.glob(pattern))
        if not found:
            raise RecipeError(f"files: {pattern!r} names no file")
        paths += found
    commit_bytes(recipe.output, to_json(fit_text(read_texts(paths), recipe.vocab_size)))
