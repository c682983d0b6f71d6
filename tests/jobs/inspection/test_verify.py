"""Nothing is lost between input, ledger and shards, and no file changes unseen."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from pipeline.shards.manifest import describe_file, load_manifest
from tests.jobs.inspection.outputs import edit_manifest, rewrite, set_value, write_small


@pytest.fixture
def output(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "out"))


def rewrite_ledger(output: Path, change) -> None:
    """Change the ledger's first part, and let the manifest state its new bytes, hash and rows."""
    path = output / "ledger" / "part-00000.parquet"
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    edit_manifest(output, lambda manifest: replace(manifest, ledger=(describe_file(str(path), rows=table.num_rows), *manifest.ledger[1:])))


def row_of(table: pa.Table, key: str) -> int:
    return table["key"].to_pylist().index(key)


def change_row(name_of_row: str, **values: object):
    def change(table: pa.Table) -> pa.Table:
        row = row_of(table, name_of_row)
        for name, value in values.items():
            table = set_value(table, name, row, value)
        return table

    return change


def without(key: str):
    return lambda table: table.filter(pc.not_equal(table["key"], key))


def test_a_whole_output_is_proved(prepared, capsys):
    assert main(["inspect", "verify", str(prepared)]) == 0
    assert main(["inspect", "verify", str(prepared / "tokens") + "/"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "6 accepted + 2 rejected + 2 failed = 10 input; 4 files hold, 12 sequences" in lines[0]


def test_it_works_from_inside_the_output(prepared, monkeypatch, capsys):
    for folder, path in ((prepared, "."), (prepared, "tokens"), (prepared / "tokens", ".")):
        monkeypatch.chdir(folder)
        assert main(["inspect", "verify", path]) == 0
    assert "warning" not in capsys.readouterr().out


FILES = ["tokens/shard-00000.arrow", "tokens/index.arrow", "tokens/text_tokenizer.json", "ledger/part-00000.parquet"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(output, capsys, name):
    (output / name).unlink()
    assert main(["inspect", "verify", str(output)]) == 6
    assert f"{name.split('/')[1]}: missing" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(output, capsys, name):
    data = (output / name).read_bytes()
    (output / name).write_bytes(data[:-1])
    assert main(["inspect", "verify", str(output)]) == 6
    assert f"{name.split('/')[1]}: {len(data) - 1} bytes, the manifest states {len(data)}" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_each_region_of_a_file_is_found(output, capsys, name):
    good = (output / name).read_bytes()
    for place in np.linspace(0, len(good) - 1, 9).astype(int):
        damaged = bytearray(good)
        damaged[place] ^= 4
        (output / name).write_bytes(damaged)
        assert main(["inspect", "verify", str(output)]) == 6
        assert f"{name.split('/')[1]}: sha256" in capsys.readouterr().out


def test_an_unlisted_file_is_a_warning(output, capsys):
    (output / "tokens" / "shard-00007.arrow").write_bytes(b"")
    (output / "ledger" / "notes.txt").write_bytes(b"")
    assert main(["inspect", "verify", str(output)]) == 0
    out = capsys.readouterr().out
    assert "shard-00007.arrow is not in the manifest" in out
    assert "notes.txt is not in the manifest" in out


def test_a_sample_that_the_ledger_lost_is_missed_in_the_sum(output, capsys):
    rewrite_ledger(output, without("picture_6"))
    assert main(["inspect", "verify", str(output)]) == 6
    out = capsys.readouterr().out
    assert "states 10 input, the ledger has 9" in out
    assert "states 2 rejected, the ledger has 1" in out


def test_a_disposition_that_is_none_is_caught(output, capsys):
    rewrite_ledger(output, change_row("picture_6", disposition="pending"))
    assert main(["inspect", "verify", str(output)]) == 6
    assert "1 rows are none of accepted, rejected, failed" in capsys.readouterr().out


def test_manifest_counts_that_are_not_the_ledgers_are_caught(output, capsys):
    edit_manifest(output, lambda manifest: replace(manifest, counts={**manifest.counts, "rejected": 1, "failed": 3}))
    assert main(["inspect", "verify", str(output)]) == 6
    assert "states 1 rejected, the ledger has 2" in capsys.readouterr().out


def test_an_accepted_sample_whose_sequences_are_gone_is_named(output, capsys):
    rewrite(output, "shard-00000.arrow", without("picture_2"))
    assert main(["inspect", "verify", str(output)]) == 6
    out = capsys.readouterr().out
    assert "picture_2: accepted, but no shard holds a sequence of it" in out
    assert "shard-00000.arrow: 10 sequences" in out


def test_a_sample_that_lost_one_of_its_sequences_is_named(output, capsys):
    def change(table: pa.Table) -> pa.Table:
        return table.filter(pc.invert(pc.and_(pc.equal(table["key"], "picture_2"), pc.equal(table["task"], "captioning"))))

    rewrite(output, "shard-00000.arrow", change)
    assert main(["inspect", "verify", str(output)]) == 6
    assert "picture_2: the ledger says" in capsys.readouterr().out


def test_sequences_of_a_sample_that_was_not_accepted_are_named(output, capsys):
    rewrite_ledger(output, change_row("picture_2", disposition="rejected"))
    assert main(["inspect", "verify", str(output)]) == 6
    assert "picture_2: a shard holds its sequences, but the ledger does not accept it" in capsys.readouterr().out


def test_tokens_that_the_ledger_miscounts_are_named(output, capsys):
    rewrite_ledger(output, change_row("picture_2", tokens=5))
    assert main(["inspect", "verify", str(output)]) == 6
    assert "picture_2: the ledger says 5 tokens, the shards hold" in capsys.readouterr().out


def test_a_key_that_is_accepted_twice_is_named(output, capsys):
    rewrite_ledger(output, change_row("picture_6", key="picture_2", disposition="accepted", tokens=0))
    assert main(["inspect", "verify", str(output)]) == 6
    assert "picture_2: the ledger accepts it 2 times" in capsys.readouterr().out


def test_a_ledger_that_is_no_parquet_file_is_refused_by_name(output, capsys):
    path = output / "ledger" / "part-00000.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    edit_manifest(output, lambda manifest: replace(manifest, ledger=(describe_file(str(path), rows=10),)))
    assert main(["inspect", "verify", str(output)]) == 6
    assert "part-00000.parquet: no readable ledger" in capsys.readouterr().err


def test_shards_without_a_ledger_do_not_add_up(tmp_path):
    write_small(tmp_path)
    assert main(["inspect", "verify", str(tmp_path)]) == 6


MANIFEST_DAMAGES = {
    "no JSON": lambda data: data[:-10],
    "another format": lambda data: data.replace(b'"format_version": 1', b'"format_version": 2'),
    "a type of ids that does not exist": lambda data: data.replace(b'"uint16"', b'"qint16"'),
    "a count that is none": lambda data: data.replace(b'"accepted": 6', b'"accepted": "6"'),
    "a count that is missing": lambda data: data.replace(b'"accepted"', b'"excepted"'),
    "an unknown field": lambda data: data.replace(b'"recipe"', b'"recipf"'),
}


@pytest.mark.parametrize("name", MANIFEST_DAMAGES)
def test_a_damaged_manifest_is_refused_by_name(output, capsys, name):
    path = output / "tokens" / "manifest.json"
    data = MANIFEST_DAMAGES[name](path.read_bytes())
    assert data != path.read_bytes()
    path.write_bytes(data)
    for what in ("verify", "lint", "info"):
        assert main(["inspect", what, str(output)]) == 6
        assert "manifest.json" in capsys.readouterr().err


def test_the_manifest_lists_what_prepare_wrote(prepared):
    manifest = load_manifest(str(prepared / "tokens"))
    assert manifest.counts == {"input": 10, "accepted": 6, "rejected": 2, "failed": 2}
    assert manifest.num_sequences == 12
