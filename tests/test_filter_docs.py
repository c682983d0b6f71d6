"""docs/filters.md names every filter, and its recipes are recipes."""

import re
import tomllib
from pathlib import Path

import pytest

from filters import FILTERS
from jobs.filter_tables import build_filters

TEXT = (Path(__file__).parents[1] / "docs" / "filters.md").read_text(encoding="utf-8")
RECIPES = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.parametrize("kind", FILTERS)
def test_every_filter_is_named(kind):
    assert f"`{kind}`" in TEXT


def test_its_filter_tables_can_be_built():
    built = [dict(build_filters(tuple(recipe["filter"]))) for recipe in RECIPES if "filter" in recipe]
    assert list(built[0]) == ["blur", "watermark_of_laion", "licence"]
