"""A run that is decided as a whole: scored, decided, encoded; the same bytes whatever happens, and nothing encoded in vain."""

import hashlib
import json
import shutil
import signal

import pyarrow.parquet as pq
import pytest

from jobs import prepare
from jobs.__main__ import main
from jobs.recipe import load_recipe
from jobs.run_plan import make_plan
from pipeline import paths
from pipeline.shards.reader import TokenShards
from tests.jobs.recipes import ROOT, write_recipe

PHOTOS = ROOT / "examples" / "photos"
RULES = """
[run]
unit_size = 3
[[filter]]
kind = "image_header"
[[filter]]
kind = "exact_duplicates"
[[filter]]
kind = "aspect_ratio"
max_aspect = 1.6
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve pictures: four photographs, each three times, each time with a caption of its own."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        name = ("osprey", "dahlia", "swans", "cat-face")[number % 4]
        shutil.copy(PHOTOS / f"{name}.jpg", folder / f"{number:02}.jpg")
        (folder / f"{number:02}.txt").write_text(f"a picture, for the time number {number}")
    return folder


def recipe_in(folder, pictures, rest=RULES):
    return write_recipe(folder, f'kind = "folder"\npath = "{pictures}"', rest=rest)


def digests(output):
    """sha256 of everything that a run leaves, but for the report of how it was run."""
    files = (path for name in ("tokens", "ledger", "signatures") for path in sorted((output / name).rglob("*")))
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, pictures):
    """A run without disturbance."""
    recipe, output = recipe_in(tmp_path_factory.mktemp("quiet"), pictures)
    assert main(["prepare", str(recipe)]) == 0
    return output


def test_one_of_each_is_kept_and_the_others_name_it(quiet):
    rows = {row["key"]: row for row in pq.read_table(quiet / "ledger").to_pylist()}
    kept = [key for key, row in rows.items() if row["disposition"] == "accepted"]
    left_out = {key: row["duplicate_of"] for key, row in rows.items() if row["stage"] == "exact_duplicates"}
    assert left_out == {f"{number:02}": f"{number % 4:02}" for number in range(4, 12)}
    assert {row["stage"] for key, row in rows.items() if key < "04" and key not in kept} <= {"aspect_ratio"}
    assert [TokenShards(str(quiet)).read(number).key for number in range(len(kept))] == kept
    assert all(row["aspect_ratio"] for row in rows.values())  # measured for all
    assert main(["inspect", "verify", str(quiet)]) == 0


def test_signatures_lie_beside_the_ledger_row_by_row(quiet):
    signatures, ledger = pq.read_table(quiet / "signatures"), pq.read_table(quiet / "ledger")
    assert signatures["key"].to_pylist() == ledger["key"].to_pylist()
    assert len(set(signatures["signature.exact_duplicates"].to_pylist())) == 4
    assert not [name for name in ledger.column_names if name.startswith("signature")]


@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_same_bytes(tmp_path, pictures, quiet, ray_cluster, workers):
    recipe, output = recipe_in(tmp_path, pictures, RULES.replace("[run]", f'[run]\nexecutor = "ray"\nworkers = {workers}'))
    assert main(["prepare", str(recipe)]) == 0
    assert digests(output) == digests(quiet)


@pytest.mark.parametrize("at", ["score", "decide_units", "encode", "merge"])
def test_a_run_that_is_cut_short_anywhere_ends_in_the_same_bytes(tmp_path, pictures, quiet, monkeypatch, at):
    recipe, output = recipe_in(tmp_path, pictures)
    run_units, decide_units = prepare._run_units, prepare.decide_units

    def units_until_the_second(plan, part, units, on_report):
        run_units(plan, part, units[:2] if part == at else units, on_report)
        if part == at:
            raise KeyboardInterrupt

    def decide_and_fall(*args):
        decide_units(*args)
        if at == "decide_units":
            raise KeyboardInterrupt
        return 0

    def fall(plan):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_run_units", units_until_the_second)
        patch.setattr(prepare, "decide_units", decide_and_fall)
        if at == "merge":
            patch.setattr(prepare, "_merge", fall)
        assert main(["prepare", str(recipe)]) == 128 + signal.SIGINT
    for folder in ("signatures", "_work"):  # as a kill in the middle of a write leaves one
        (output / folder).mkdir(exist_ok=True)
        (output / folder / f"part-00000.parquet.1234{paths.TEMPORARY_SUFFIX}").touch()
    done = {path.name for path in (output / "_work").glob("*.json")}
    assert len([name for name in done if "scores" in name]) == (2 if at == "score" else 4)
    assert main(["prepare", str(recipe)]) == 0
    assert digests(output) == digests(quiet)
    assert not (output / "_work").exists() and not list(output.rglob("*.tmp"))


def test_what_is_left_out_is_not_encoded(tmp_path, pictures, monkeypatch):
    recipe, _ = recipe_in(tmp_path, pictures)
    plan = make_plan(load_recipe(str(recipe), []))
    assert plan.passes == ("score", "encode")
    seen = []
    monkeypatch.setattr("jobs.progress.Progress.add", lambda self, report: seen.append((self._part, report.num_pictures)))
    prepare.prepare(plan)
    manifest = json.loads((tmp_path / "out" / "tokens" / "manifest.json").read_text())
    assert sum(pictures for part, pictures in seen if part == "encode") == manifest["counts"]["accepted"] < 12
    assert [pictures for part, pictures in seen if part == "score"] == [0] * 4


def test_a_run_that_nothing_decides_as_a_whole_takes_one_pass(tmp_path, pictures):
    recipe, _ = recipe_in(tmp_path, pictures, RULES.replace('[[filter]]\nkind = "exact_duplicates"\n', ""))
    assert make_plan(load_recipe(str(recipe), [])).passes == ("all",)
