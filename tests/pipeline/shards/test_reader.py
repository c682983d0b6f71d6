"""Sequences come back as they went in, without a copy, and what does not match the manifest is refused."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import RecipeError, VerificationError
from pipeline.samples import ImageSpan, TokenSequence
from pipeline.shards.manifest import load_manifest
from pipeline.shards.reader import TokenShards
from tests.token_output import write_output


def some_sequences(count: int = 7) -> list[TokenSequence]:
    rng = np.random.default_rng(0)
    return [
        TokenSequence(
            key=f"key {number // 2}",
            task=("captioning", "text_to_image")[number % 2],
            input_ids=rng.integers(0, 1 << 16, 3 + number, np.uint16),
            loss_spans=((1, 2), (2, 3 + number))[: 1 + number % 2],
            images=(ImageSpan(1, 32, 64),) * (number % 3),
            caption=f"número {number}",
            metadata={"number": number, "nested": {"a": [1, None]}} if number % 2 else {},
        )
        for number in range(count)
    ]


def same(ours: TokenSequence, theirs: TokenSequence) -> bool:
    plain = [replace(sequence, input_ids=np.empty(0)) for sequence in (ours, theirs)]
    fields = ("key", "task", "loss_spans", "images", "caption", "metadata")
    return all(getattr(plain[0], name) == getattr(plain[1], name) for name in fields) and np.array_equal(ours.input_ids, theirs.input_ids)


@pytest.fixture(params=[1, 3, 1000])
def shards(request, tmp_path) -> TokenShards:
    write_output(tmp_path, some_sequences(), rows_per_shard=request.param)
    return TokenShards(str(tmp_path))


def test_every_sequence_comes_back_as_it_went_in(shards):
    assert len(shards) == 7
    for number, sequence in enumerate(some_sequences()):
        assert same(shards.read(number), sequence)
        assert shards.loss_spans(number).tolist() == [list(span) for span in sequence.loss_spans]
        assert shards.crc(number) == zlib.crc32(shards.input_ids(number).tobytes())


def test_an_output_and_its_token_folder_are_the_same_to_it(tmp_path):
    write_output(tmp_path, some_sequences())
    for path in (tmp_path, f"{tmp_path}/", tmp_path / "tokens", f"{tmp_path}/tokens/"):
        assert TokenShards(str(path)).folder == str(tmp_path / "tokens")


def test_a_key_finds_all_its_sequences(shards):
    assert shards.find("key 1") == [2, 3]
    assert shards.find("key 3") == [6]
    assert shards.find("key") == []


def test_ids_are_a_view_of_the_mapped_file_and_cannot_be_written(tmp_path):
    write_output(tmp_path, some_sequences())
    shards = TokenShards(str(tmp_path))
    ids = shards.input_ids(4)
    assert ids.dtype == np.uint16 and not ids.flags.owndata and not ids.flags.writeable
    column = shards.shard_table("shard-00000.arrow")["input_ids"].chunk(0).values.to_numpy()
    place = ids.__array_interface__["data"][0] - shards.input_ids(0).__array_interface__["data"][0]
    assert place == sum(len(sequence.input_ids) for sequence in some_sequences()[:4]) * 2, "ids lie end to end"
    assert np.shares_memory(shards.read(4).input_ids, ids)
    assert np.array_equal(column[place // 2 :][: len(ids)], ids)
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 1


def test_reading_allocates_nothing_for_the_ids(tmp_path):
    long = replace(some_sequences()[0], input_ids=np.zeros(3_000_000, np.uint16), loss_spans=((0, 1),), images=())
    write_output(tmp_path, [long, replace(long, key="another")])
    before = pa.total_allocated_bytes()
    shards = TokenShards(str(tmp_path))
    assert len(shards.input_ids(1)) == len(shards.read(0).input_ids) == 3_000_000
    assert pa.total_allocated_bytes() - before < 100_000


def test_numbers_outside_are_refused(shards):
    for number in (-1, 7):
        with pytest.raises(IndexError, match=f"sequence {number} of 7"):
            shards.read(number)


def test_the_index_lists_all_sequences_in_order(shards):
    index = shards.index
    assert index["tokens"].to_pylist() == [len(sequence.input_ids) for sequence in some_sequences()]
    assert index["loss_tokens"].to_pylist() == [sequence.num_loss_tokens for sequence in some_sequences()]
    rows = list(zip(index["shard"].to_pylist(), index["row"].to_pylist(), strict=True))
    assert rows == sorted(rows)
    assert [shard.rows for shard in shards.manifest.shards] == np.bincount(index["shard"].to_numpy()).tolist()


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    write_output(tmp_path, some_sequences())
    (tmp_path / "tokens" / "manifest.json").unlink()
    with pytest.raises(RecipeError, match="a run that did not finish has none"):
        TokenShards(str(tmp_path))


@pytest.mark.parametrize("name", ["shard-00001.arrow", "index.arrow", "text_tokenizer.json"])
def test_a_file_that_is_missing_or_of_another_size_is_refused_by_name(tmp_path, name):
    write_output(tmp_path, some_sequences(), rows_per_shard=4)
    path = tmp_path / "tokens" / name
    data = path.read_bytes()
    path.write_bytes(data + b"\0")
    with pytest.raises(VerificationError, match=f"{name}: {len(data) + 1} bytes, the manifest states {len(data)}"):
        TokenShards(str(tmp_path))
    path.unlink()
    with pytest.raises(VerificationError, match=f"{name}: missing"):
        TokenShards(str(tmp_path))


def test_another_type_of_ids_than_stated_is_refused(tmp_path):
    write_output(tmp_path, some_sequences())
    path = tmp_path / "tokens" / "manifest.json"
    path.write_text(path.read_text().replace('"uint16"', '"uint32"'))
    with pytest.raises(VerificationError, match="with uint32 ids"):
        TokenShards(str(tmp_path)).read(0)


def test_a_shard_that_arrow_cannot_open_is_refused_by_name(tmp_path):
    write_output(tmp_path, some_sequences())
    path = tmp_path / "tokens" / "shard-00000.arrow"
    data = path.read_bytes()
    for damaged in (b"\0" * len(data), data[:-40] + b"\xff" * 40, data[:-1] + b"\0"):
        path.write_bytes(damaged)
        with pytest.raises(VerificationError, match=r"shard-00000\.arrow"):
            TokenShards(str(tmp_path)).read(0)


@pytest.mark.parametrize(
    "change", [{"format_version": 2}, {"token_dtype": "int64"}, {"counts": {}}, {"shards": [{"name": "x"}]}, {"more": 1}]
)
def test_a_manifest_that_says_something_else_is_refused(tmp_path, change):
    write_output(tmp_path, some_sequences())
    path = tmp_path / "tokens" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(VerificationError, match=r"manifest\.json"):
        TokenShards(str(tmp_path))


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    written = write_output(tmp_path, some_sequences(), rows_per_shard=3)
    assert load_manifest(str(tmp_path / "tokens")) == written
    assert written.dump() == (tmp_path / "tokens" / "manifest.json").read_bytes()
    assert written.num_sequences == 7
    assert written.num_tokens == sum(len(sequence.input_ids) for sequence in some_sequences())


def test_an_output_without_sequences_can_be_opened(tmp_path):
    write_output(tmp_path, [])
    shards = TokenShards(str(tmp_path))
    assert len(shards) == 0
    assert shards.index.num_rows == 0
    assert shards.find("a") == []


def test_shards_are_read_from_an_object_store(tmp_path):
    import fsspec

    write_output(tmp_path, some_sequences())
    store = fsspec.filesystem("memory")
    for path in (tmp_path / "tokens").iterdir():
        store.pipe_file(f"/reader_test/tokens/{path.name}", path.read_bytes())
    shards = TokenShards("memory://reader_test")
    assert all(same(shards.read(number), sequence) for number, sequence in enumerate(some_sequences()))
