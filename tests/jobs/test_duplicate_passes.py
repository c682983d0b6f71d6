"""Duplicates over a whole run: across units, the same after `kill -9` in the middle of the decision."""

import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from filters.near_duplicates import NearDuplicates
from jobs.__main__ import main
from pipeline.images import decode_rgb
from tests.filters.clip_models import write_clip
from tests.jobs.recipes import ROOT, write_recipe
from tests.jobs.test_two_passes import digests
from tests.jobs.thumbnail_embeddings import measure_thumbnails

PHOTOS = ROOT / "examples" / "photos"
KINDS = ("exact_duplicates", "perceptual_duplicates", "near_duplicates")
DYING = """
import os, signal, sys
from filters.near_duplicates import NearDuplicates
from filters.perceptual_duplicates import PerceptualDuplicates
from jobs.__main__ import main
from pipeline import paths
from tests.jobs.thumbnail_embeddings import measure_thumbnails

NearDuplicates.measure = measure_thumbnails
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "judge":
    NearDuplicates.judge_run = die
else:
    commit = paths.commit
    paths.commit = lambda path, write: die() if path.endswith("000002.decided.parquet") else commit(path, write)
main(["prepare", sys.argv[2]])
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Four photographs as they are, half as large, and at a low quality: in units of 3, no copy lies in its original's unit."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(("osprey", "dahlia", "swans", "cat-face")):
        image = decode_rgb((PHOTOS / f"{name}.jpg").read_bytes())
        image.save(folder / f"{number:02}.png")
        image.resize((image.width // 2, image.height // 2)).save(folder / f"{number + 4:02}.png")
        image.save(folder / f"{number + 8:02}.jpg", quality=40)
    for number in range(12):
        (folder / f"{number:02}.txt").write_text(f"a picture, for the time number {number}")
    return folder


def recipe_in(folder, pictures, unit_size=3, kinds=KINDS):
    rules = "".join(f'[[filter]]\nkind = "{kind}"\n' for kind in kinds)
    if "near_duplicates" in kinds:  # the step runs, but its vectors are those of a network that knows nothing: thumbnails take their place
        rules += f'[clip]\nmodel = "{write_clip(pictures.parent / "clip")}"\n'
    return write_recipe(folder, f'kind = "folder"\npath = "{pictures}"', rest=f"[run]\nunit_size = {unit_size}\n{rules}")


@pytest.fixture(autouse=True)
def embeddings(monkeypatch):
    monkeypatch.setattr(NearDuplicates, "measure", measure_thumbnails)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, pictures):
    """A run without disturbance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NearDuplicates, "measure", measure_thumbnails)
        recipe, output = recipe_in(tmp_path_factory.mktemp("quiet"), pictures)
        assert main(["prepare", str(recipe)]) == 0
    return output


def kept_and_left_out(output):
    rows = pq.read_table(output / "ledger").to_pylist()
    return {row["key"]: (row["stage"], row["duplicate_of"]) for row in rows}


def test_copies_are_found_across_units(quiet):
    copies = {f"{number:02}": ("perceptual_duplicates", f"{number % 4:02}") for number in range(4, 12)}
    assert kept_and_left_out(quiet) == copies | {f"{number:02}": ("", "") for number in range(4)}
    assert main(["inspect", "verify", str(quiet)]) == 0


def test_embeddings_find_them_too(tmp_path, pictures):
    recipe, output = recipe_in(tmp_path, pictures, kinds=("near_duplicates",))
    assert main(["prepare", str(recipe)]) == 0
    assert kept_and_left_out(output) == {f"{n:02}": ("near_duplicates", f"{n % 4:02}") if n > 3 else ("", "") for n in range(12)}


def test_the_size_of_a_unit_changes_nothing(tmp_path, pictures, quiet):
    recipe, output = recipe_in(tmp_path, pictures, unit_size=5)
    assert main(["prepare", str(recipe)]) == 0
    assert kept_and_left_out(output) == kept_and_left_out(quiet)


@pytest.mark.parametrize("at", ["judge", "write"])
def test_a_run_killed_while_it_decides_ends_in_the_same_bytes(tmp_path, pictures, quiet, at):
    recipe, output = recipe_in(tmp_path, pictures)
    killed = subprocess.run([sys.executable, "-c", DYING, at, str(recipe)], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    work = {path.name for path in (output / "_work").iterdir()}
    assert len([name for name in work if name.endswith("scores.parquet")]) == 4
    assert len([name for name in work if name.endswith("decided.parquet")]) == (0 if at == "judge" else 2)
    assert main(["prepare", str(recipe)]) == 0
    assert digests(output) == digests(quiet)
