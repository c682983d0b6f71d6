"""The columns of a token shard are those of the format, and other libraries read them."""

import zlib
from dataclasses import replace

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pytest

from pipeline.samples import ImageSpan, TokenSequence
from pipeline.shards.arrow_file import read_arrow, write_arrow
from pipeline.shards.schema import INDEX_SCHEMA, index_rows, token_schema, token_table

SEQUENCES = [
    TokenSequence("a", "text_to_image", np.arange(5, dtype=np.uint16), ((2, 5),), (ImageSpan(2, 64, 96),), "a caption", {"b": 1, "a": "é"}),
    TokenSequence("b", "text_only", np.array([65535], np.uint16), ((0, 1),)),
    TokenSequence("c", "editing", np.arange(9, dtype=np.uint16), ((1, 3), (5, 9)), (ImageSpan(1, 32, 32), ImageSpan(5, 32, 512))),
]
COLUMNS = {
    "key": "string",
    "task": "string",
    "input_ids": "list<element: uint16>",
    "loss_spans": "list<element: uint32>",
    "images": "list<element: struct<start: uint32, height: uint16, width: uint16>>",
    "caption": "string",
    "metadata": "string",
    "crc32": "uint32",
}


def plain(kind: pa.DataType) -> str:
    return str(kind).replace("item:", "element:")


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_the_columns_are_those_of_the_format(dtype):
    schema = token_schema(np.dtype(dtype))
    wanted = COLUMNS | {"input_ids": f"list<element: {dtype}>"}
    assert {field.name: plain(field.type) for field in schema} == wanted


def test_the_index_takes_about_20_bytes_a_sequence(tmp_path):
    sequences = [replace(SEQUENCES[i % 3], key=str(i)) for i in range(3000)]
    index = index_rows(token_table(sequences, np.dtype(np.uint16)), 0)
    write_arrow(str(tmp_path / "index.arrow"), index)
    assert (tmp_path / "index.arrow").stat().st_size / 3000 < 24
    assert index.schema == INDEX_SCHEMA


def test_rows_hold_what_the_sequences_say():
    table = token_table(SEQUENCES, np.dtype(np.uint16))
    rows = table.to_pylist()
    assert [row["input_ids"] for row in rows] == [sequence.input_ids.tolist() for sequence in SEQUENCES]
    assert [row["loss_spans"] for row in rows] == [[2, 5], [0, 1], [1, 3, 5, 9]]
    assert rows[0]["images"] == [{"start": 2, "height": 64, "width": 96}]
    assert [row["metadata"] for row in rows] == ['{"a":"é","b":1}', "", ""]
    assert [row["crc32"] for row in rows] == [zlib.crc32(sequence.input_ids.tobytes()) for sequence in SEQUENCES]


def test_the_crc_is_that_of_the_bytes_as_they_are_stored():
    wide = replace(SEQUENCES[0], input_ids=SEQUENCES[0].input_ids.astype(np.int64))
    table = token_table([wide], np.dtype(np.uint16))
    assert table["crc32"].to_pylist() == [zlib.crc32(np.arange(5, dtype="<u2").tobytes())]


def test_the_index_says_tokens_loss_task_and_the_last_images_size():
    index = index_rows(token_table(SEQUENCES, np.dtype(np.uint16)), 3)
    assert index.to_pylist() == [
        {"shard": 3, "row": 0, "tokens": 5, "loss_tokens": 3, "task": "text_to_image", "bucket": "96x64"},
        {"shard": 3, "row": 1, "tokens": 1, "loss_tokens": 1, "task": "text_only", "bucket": ""},
        {"shard": 3, "row": 2, "tokens": 9, "loss_tokens": 6, "task": "editing", "bucket": "512x32"},
    ]


def test_no_sequences_make_an_empty_table():
    table = token_table([], np.dtype(np.uint32))
    assert table.num_rows == 0
    assert table.schema == token_schema(np.dtype(np.uint32))
    assert index_rows(table, 0).num_rows == 0


def test_a_file_is_uncompressed_and_has_one_record_batch(tmp_path):
    path = str(tmp_path / "shard.arrow")
    table = token_table(SEQUENCES, np.dtype(np.uint16))
    write_arrow(path, pa.concat_tables([table, table]))
    with pa.memory_map(path) as source:
        reader = pa.ipc.open_file(source)
        assert reader.num_record_batches == 1
        assert reader.get_batch(0).num_rows == 6
    assert table["input_ids"].combine_chunks().values.to_numpy().tobytes() in (tmp_path / "shard.arrow").read_bytes()


def test_plain_pyarrow_polars_and_duckdb_read_the_same_rows(tmp_path):
    path = str(tmp_path / "shard.arrow")
    write_arrow(path, token_table(SEQUENCES, np.dtype(np.uint16)))
    wanted = [sequence.input_ids.tolist() for sequence in SEQUENCES]
    with pa.memory_map(path) as source:
        rows = pa.ipc.open_file(source).read_all()
    assert rows["input_ids"].to_pylist() == wanted
    frame = polars.read_ipc(path)
    assert frame["input_ids"].to_list() == wanted
    assert frame["images"].to_list()[2][1] == {"start": 5, "height": 32, "width": 512}
    tokens = duckdb.sql(  # it finds the variable by its name
        "select key, len(input_ids) as tokens, images[1].width as width from rows order by key desc"
    ).fetchall()
    assert tokens == [("c", 9, 32), ("b", 1, None), ("a", 5, 96)]


def test_the_same_sequences_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_arrow(str(tmp_path / name), token_table(SEQUENCES, np.dtype(np.uint16)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_empty_file_is_read_back_with_its_columns(tmp_path):
    path = str(tmp_path / "empty.arrow")
    write_arrow(path, token_schema(np.dtype(np.uint16)).empty_table())
    assert read_arrow(path).schema == token_schema(np.dtype(np.uint16))
