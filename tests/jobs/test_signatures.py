"""`mgpt signatures`: a table of evaluation pictures from a folder or a run, and the training pictures that it keeps out."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.neighbours.picture_hash import picture_hash
from jobs.__main__ import main
from tests.jobs.recipes import ROOT, write_recipe

PHOTOS = ROOT / "examples" / "photos"


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "birds").mkdir(parents=True)
    for name in ("birds/swans", "birds/osprey", "dahlia"):
        shutil.copy(PHOTOS / f"{name.rpartition('/')[2]}.jpg", folder / f"{name}.jpg")
        (folder / f"{name}.txt").write_text("a picture of something")
    return folder


def test_a_folder_becomes_a_table_that_guards_a_run(tmp_path, pictures, capsys):
    table = tmp_path / "evaluation.parquet"
    assert main(["signatures", str(pictures / "birds"), str(table)]) == 0
    assert "2 pictures, 2 with a hash, 0 with an embedding" in capsys.readouterr().out
    swans = picture_hash((PHOTOS / "swans.jpg").read_bytes())[0].hex()
    assert pq.read_table(table, filters=[("key", "=", "swans")]).to_pylist() == [{"key": "swans", "phash": swans, "embedding": None}]
    rule = f'[[filter]]\nkind = "evaluation_duplicates"\ntable = "{table}"'
    recipe, output = write_recipe(tmp_path, f'kind = "folder"\npath = "{pictures}"', rest=rule)
    assert main(["prepare", str(recipe)]) == 0
    ledger = {row["key"]: row for row in pq.read_table(output / "ledger").to_pylist()}
    assert {key: row["reason"] for key, row in ledger.items()} == {
        "birds/osprey": "evaluation_picture",
        "birds/swans": "evaluation_picture",
        "dahlia": "",
    }
    assert ledger["birds/swans"]["evaluation_distance"] == 0.0 < 10 < ledger["dahlia"]["evaluation_distance"]


def test_a_run_gives_its_hashes_and_embeddings(tmp_path, capsys):
    (tmp_path / "run" / "signatures").mkdir(parents=True)
    vector = np.array([0.6, 0.8], "<f2")
    columns = {
        "key": ["a", "b"],
        "signature.perceptual_duplicates": [b"contextAstraightSTRAIGHTmirroredMIRRORED", None],
        "signature.near_duplicates": [b"contextB" + vector.tobytes(), None],
    }
    pq.write_table(pa.table(columns), tmp_path / "run" / "signatures" / "part-00000.parquet")
    assert main(["signatures", str(tmp_path / "run"), str(tmp_path / "table.parquet")]) == 0
    rows = pq.read_table(tmp_path / "table.parquet").to_pylist()
    hashes = [(row["key"], row["phash"] and bytes.fromhex(row["phash"])) for row in rows]
    assert hashes == [("a", b"straight"), ("a", b"STRAIGHT"), ("b", None)]
    assert np.allclose(rows[0]["embedding"], [0.6, 0.8], atol=1e-3) and rows[1]["embedding"] is rows[2]["embedding"] is None


def test_a_picture_that_cannot_be_read_is_named_and_shows_in_the_exit_code(tmp_path, pictures, capsys):
    (pictures / "broken.jpg").write_bytes((PHOTOS / "swans.jpg").read_bytes()[:3000])
    assert main(["signatures", str(pictures), str(tmp_path / "table.parquet")]) == 3
    assert "not in it: broken: broken_image" in capsys.readouterr().out
    assert pq.read_table(tmp_path / "table.parquet").num_rows == 3


def test_a_folder_without_a_picture_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        assert main(["signatures", str(tmp_path / folder), str(tmp_path / "table.parquet")]) == 2
    assert not (tmp_path / "table.parquet").exists()
