"""Lists of keys in three kinds of file, to keep and to drop."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.key_list import KeyList
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from tests.filters.verdicts import judged

SAMPLES = [Sample(key, metadata={"uid": uid}) for key, uid in (("000010", "0" * 31 + "a"), ("00001", "f" * 32), ("b/ü", "0" * 32))]
LEDGER = pa.table({"key": ["000010", "b/ü", "00001"], "disposition": ["accepted", "accepted", "rejected"], "id": [1, 2, 3]})


def kept(**options):
    rule = KeyList(**options)
    rule.check()
    return [sample.key for sample, verdict in zip(SAMPLES, judged(rule, SAMPLES), strict=True) if verdict.keep]


def test_text_and_parquet_files(tmp_path):
    text, table = str(tmp_path / "keys.txt"), str(tmp_path / "ledger.parquet")
    (tmp_path / "keys.txt").write_text("\n000010 \nother\nb/ü\n", encoding="utf-8")
    pq.write_table(LEDGER, table)
    assert kept(file=text) == ["000010", "b/ü"] and kept(file=text, mode="drop") == ["00001"]
    assert kept(file=table, where="disposition") == ["000010", "b/ü"]
    assert kept(file=table, where="disposition", value="rejected") == ["00001"]
    assert kept(file=table) == ["000010", "00001", "b/ü"]
    assert kept(file=table, where="id", value="3", mode="drop") == ["000010", "b/ü"]


def test_subsets_of_datacomp(tmp_path):
    uids = np.array([(0, 10), (2**64 - 1, 2**64 - 1)], np.dtype("u8,u8"))
    np.save(tmp_path / "subset.npy", uids)
    assert kept(file=str(tmp_path / "subset.npy"), match="uid") == ["000010", "00001"]


def test_the_reason_and_the_score_say_whether_it_is_listed(tmp_path):
    (tmp_path / "keys.txt").write_text("000010")
    [listed, other, _] = judged(KeyList(file=str(tmp_path / "keys.txt")), SAMPLES)
    assert (listed.scores, other.scores, other.reason) == ({"key_listed": 1.0}, {"key_listed": 0.0}, "key_not_listed")
    assert judged(KeyList(file=str(tmp_path / "keys.txt"), mode="drop"), SAMPLES)[0].reason == "key_listed"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("absent.txt", None, {}, "no such file"),
        ("empty.txt", b"\n \n", {}, "lists no keys"),
        ("keys.csv", b"a", {}, "ends in none of"),
        ("broken.parquet", b"PAR1", {}, "is no parquet file"),
        ("ledger.parquet", LEDGER, {"column": "uid"}, "has no column 'uid'; it has key, disposition, id"),
        ("ledger.parquet", LEDGER, {"where": "state"}, "has no column 'state'"),
        ("broken.npy", b"\x93NUMPY", {}, "is no array of numpy"),
        ("floats.npy", np.zeros(3), {}, "holds float64"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, name, content, options, message):
    if isinstance(content, pa.Table):
        pq.write_table(content, tmp_path / name)
    elif isinstance(content, np.ndarray):
        np.save(tmp_path / name, content)
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        KeyList(file=str(tmp_path / name), **options).check()


def test_another_list_is_another_fingerprint(tmp_path):
    for name, text in (("a.txt", "1"), ("b.txt", "1"), ("c.txt", "2")):
        (tmp_path / name).write_text(text)
    a, b, c = (KeyList(file=str(tmp_path / name)).fingerprint() for name in ("a.txt", "b.txt", "c.txt"))
    assert a == b != c
