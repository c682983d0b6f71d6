"""`mgpt refilter` says what a new run with the new thresholds would decide, from the ledger alone."""

import json
import shutil
from collections import Counter

import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from tests.jobs.recipes import ROOT, write_recipe

PHOTOS = ROOT / "examples" / "photos"
FILTERS = """
[[filter]]
kind = "image_header"
[[filter]]
kind = "aspect_ratio"
max_aspect = 1.5
[[filter]]
kind = "exact_duplicates"
[[filter]]
kind = "flat_picture"
min_luma_std = 45
[[filter]]
kind = "caption_text"
"""
MOVES = {
    "looser": ["filter.1.max_aspect=3.0", "filter.3.min_luma_std=20"],
    "tighter": ["filter.1.max_aspect=1.4", "filter.3.min_luma_std=60"],
    "both_ways": ["filter.1.max_aspect=1.34", "filter.3.min_luma_std=10", "filter.4.min_words=9"],
    "other_keepers": ["filter.1.max_aspect=1.35"],
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Photographs, some of them twice under other captions, one broken."""
    folder = tmp_path_factory.mktemp("pictures")
    captions = [json.loads(line) for line in (PHOTOS / "metadata.jsonl").read_text().splitlines()]
    for number, row in enumerate(captions):
        name = f"{number:02}_{row['file_name']}"
        shutil.copy(PHOTOS / row["file_name"], folder / name)
        (folder / name).with_suffix(".txt").write_text(row["text"] if number % 7 else "a picture")
        if number % 5 == 0:
            shutil.copy(PHOTOS / row["file_name"], folder / f"a_{name}")
            (folder / f"a_{name}").with_suffix(".txt").write_text("once more the same, in other words")
    (folder / "broken.jpg").write_bytes((PHOTOS / "osprey.jpg").read_bytes()[:20_000])
    (folder / "broken.txt").write_text("a picture that ends in the middle")
    return folder


def prepare(folder, pictures, *settings):
    rest = FILTERS + "[run]\nunit_size = 10\nmax_failed_fraction = 0.1\n"
    recipe, output = write_recipe(folder, f'kind = "folder"\npath = "{pictures}"', tokens="target_size = 32", rest=rest)
    assert main(["prepare", str(recipe), *(word for each in settings for word in ("--set", each))]) == 0
    return recipe, output


@pytest.fixture(scope="module")
def old(tmp_path_factory, pictures):
    return prepare(tmp_path_factory.mktemp("old"), pictures)


def outcomes(output):
    rows = pq.read_table(output / "ledger", columns=["key", "disposition", "stage", "reason", "duplicate_of"]).to_pylist()
    return {row["key"]: (row["disposition"], row["stage"], row["reason"], row["duplicate_of"]) for row in rows}


@pytest.mark.parametrize("move", MOVES)
def test_it_decides_what_a_new_run_decides(tmp_path, pictures, old, move, capsys):
    recipe, output = old
    settings = [word for each in MOVES[move] for word in ("--set", each)]
    assert main(["refilter", str(recipe), *settings, "--write", str(tmp_path / "decisions.parquet")]) == 0
    _, new_output = prepare(tmp_path, pictures, *MOVES[move])
    decided = {row["key"]: row for row in pq.read_table(tmp_path / "decisions.parquet").to_pylist()}
    expected = outcomes(new_output)
    assert {
        key: tuple(row[name] for name in ("disposition", "stage", "reason", "duplicate_of")) for key, row in decided.items()
    } == expected
    assert {key: row["was"] for key, row in decided.items()} == {key: row[0] for key, row in outcomes(output).items()}
    assert expected != outcomes(output)


def test_the_funnel_and_those_who_change_sides_are_printed(old, capsys):
    recipe, output = old
    command = ["refilter", str(recipe), "--set", "filter.1.max_aspect=3.0"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert main([*command, "--json", "--show", "1000"]) == 0
    summary = json.loads(capsys.readouterr().out)
    before = Counter(row[:3] for row in outcomes(output).values())
    assert {tuple(row[:3]): row[3] for row in summary["before"]} == before
    assert sum(row[3] for row in summary["after"]) == before.total()
    come = [change for change in summary["changes"] if change["now"][0] == "accepted"]
    assert f"{sum(change['count'] for change in come)} samples would come in, 0 would go out" in said
    assert all(outcomes(output)[key][1] == "aspect_ratio" for change in come for key in change["keys"])


def test_unchanged_thresholds_change_nothing(old, capsys):
    recipe, _ = old
    assert main(["refilter", str(recipe), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("filter.3.thumbnail_side=32", "filter[3].thumbnail_side: was 64, the recipe now says 32, which changes what is measured"),
        ("filter=[{kind='crop_loss'}]", "filter[0]: 'crop_loss' was not in the run"),
        ("source.path=/tmp", "source: "),
        ("output=nowhere", "nowhere: no finished run here"),
    ],
)
def test_what_the_ledger_cannot_answer_is_refused(old, capsys, setting, message):
    recipe, _ = old
    assert main(["refilter", str(recipe), "--set", setting]) == 2
    assert message in capsys.readouterr().err


def test_what_a_guard_left_out_is_undecided(tmp_path, old, capsys):
    recipe, _ = old
    other, output = recipe.with_name("guarded.toml"), tmp_path / "guarded"
    other.write_text(recipe.read_text().replace('kind = "image_header"', 'kind = "image_header"\nmin_bytes = 40_000'))
    assert main(["prepare", str(other), "--set", f"output={output}"]) == 0
    capsys.readouterr()
    assert main(["refilter", str(other), "--set", f"output={output}", "--set", "filter.0.min_bytes=10_000", "--json"]) == 0
    after = {tuple(row[:3]): row[3] for row in json.loads(capsys.readouterr().out)["after"]}
    assert after["undecided", "", "left out by a filter behind which nothing was measured"] > 0
