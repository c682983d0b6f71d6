"""docs/detect.md names every option with its default, and its tables are annotators of one recipe."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from filters.annotators import ANNOTATORS
from filters.annotators.detect import DetectPhrases
from pipeline.config import build_kind

TEXT = (Path(__file__).parents[3] / "docs" / "detect.md").read_text(encoding="utf-8")
TABLES = [table for block in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL) for table in tomllib.loads(block)["annotator"]]
OPTIONS = [option for option in fields(DetectPhrases) if option.init and option.name not in ("model", "revision", "labels")]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_stands_there_with_its_default(option):
    [row] = [row for row in re.findall(r"^\| (`.*?) \| (.*?) \|", TEXT, re.MULTILINE) if f"`{option.name}`" in row[0]]
    names = row[0].replace("`", "").split(", ")
    said = row[1].replace("`", "").split(", ")[names.index(option.name)]
    assert said == (f'"{option.default}"' if isinstance(option.default, str) else f"{option.default}")


def test_its_tables_are_two_detectors_that_can_stand_in_one_recipe():
    first, second = (build_kind(ANNOTATORS, table, "annotator") for table in TABLES)
    assert (first.labels, second.labels, second.phrases) == (("head", "person"), ("head",), "none")
    assert first.name != second.name and second.existing == "add"
