"""Filters of a kind that is listed twice: names, scores, the ledger, and a list that changes."""

import shutil

import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from jobs.filter_tables import build_filters
from jobs.recipe import load_recipe
from pipeline.errors import RecipeError
from tests.jobs.recipes import ROOT, write_recipe

TABLES = """
[[filter]]
kind = "metadata_values"
name = "licence"
column = "license"
keep = ["CC0-1.0", "public-domain"]
[[filter]]
kind = "metadata_range"
name = "width_told"
column = "told_width"
min = 100
[[filter]]
kind = "metadata_values"
column = "author"
drop = ["NASA"]
"""


def test_two_of_a_kind_have_two_names_and_columns_for_each(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rows = (ROOT / "examples/photos/metadata.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = [row for row in rows if any(f'"{name}.jpg"' in row for name in ("aracari", "astronaut", "dandelion"))]
    (pictures / "metadata.jsonl").write_text("\n".join(chosen), encoding="utf-8")
    for name in ("aracari", "astronaut", "dandelion"):
        shutil.copy(ROOT / "examples" / "photos" / f"{name}.jpg", pictures)
    recipe, output = write_recipe(tmp_path, f'kind = "folder"\npath = "{pictures}"', rest=TABLES)
    assert main(["prepare", str(recipe)]) == 0
    table = pq.read_table(output / "ledger")
    rows = {row["key"]: row for row in table.to_pylist()}
    assert {"licence_metadata_value_allowed", "width_told_metadata_number", "metadata_value_allowed"} <= set(table.column_names)
    assert (rows["aracari"]["stage"], rows["aracari"]["reason"]) == ("licence", "metadata_value_not_allowed")
    assert (rows["aracari"]["licence_metadata_value_allowed"], rows["aracari"]["metadata_value_allowed"]) == (0.0, 1.0)
    assert (rows["astronaut"]["stage"], rows["astronaut"]["licence_metadata_value_allowed"]) == ("metadata_values", 1.0)
    assert rows["dandelion"]["width_told_metadata_number_known"] == 0.0
    again = load_recipe(str(recipe), [])
    assert [table.get("name") for table in again.resolved()["filter"]] == ["licence", "width_told", None]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"kind": "blur"}, {"kind": "blur"}], r"filter\[1\]: blur is listed twice; a `name` of its own"),
        ([{"kind": "blur", "name": "soft"}, {"kind": "entropy", "name": "soft"}], "soft is listed twice"),
        ([{"kind": "blur", "name": "Soft"}], r"filter\[0\].name: a word in snake_case"),
        ([{"kind": "blur", "name": 3}], "a word in snake_case"),
        ([{"kind": "blur", "name": "entropy"}], "entropy is the name of another step"),
        ([{"kind": "blur", "name": "open"}], "open is the name of another step"),
        ([{"kind": "exact_duplicates", "name": "same"}], "is listed once and keeps its name"),
        (
            [{"kind": "metadata_range", "name": "a", "column": "x", "min": 1}, {"kind": "blur", "name": "a_metadata"}],
            "",
        ),
    ],
)
def test_names_that_would_be_mixed_up_are_refused(tables, message):
    if message:
        with pytest.raises(RecipeError, match=message):
            build_filters(tuple(tables))
    else:
        assert [name for name, _ in build_filters(tuple(tables))] == ["a", "a_metadata"]


def test_a_run_is_not_resumed_with_another_list(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("osprey", "dahlia"):
        shutil.copy(ROOT / "examples" / "photos" / f"{name}.jpg", pictures / f"{name}.jpg")
        (pictures / f"{name}.txt").write_text("a picture")
    (tmp_path / "keys.txt").write_text("osprey\n")
    rest = f'[[filter]]\nkind = "key_list"\nfile = "{tmp_path}/keys.txt"'
    recipe, output = write_recipe(tmp_path / "run", f'kind = "folder"\npath = "{pictures}"', rest=rest)
    assert main(["prepare", str(recipe)]) == 0
    assert pq.read_table(output / "ledger")["key_listed"].to_pylist() == [0.0, 1.0]
    (tmp_path / "keys.txt").write_text("dahlia\n")
    assert main(["prepare", str(recipe)]) == 5
    (tmp_path / "keys.txt").unlink()
    assert main(["prepare", str(recipe)]) == 2
