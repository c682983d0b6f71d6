"""The same pictures give the same samples, whichever way they lie."""

import json
import tarfile
import tracemalloc
from dataclasses import fields, is_dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.shards.image_shards import write_image_shard
from pipeline.sources import SOURCES
from tests.broken_pictures import BROKEN, ODD, picture


@pytest.fixture(scope="module")
def records():
    """(name, picture, caption) of 30 pictures, odd and broken ones among them."""
    pictures = [make() for make in ODD.values()] + [BROKEN[name][0]() for name in ("html", "empty", "jpeg_cut_in_the_middle")]
    pictures += [picture(quality=quality) for quality in range(50, 80)]
    return [(f"{i:09d}", data, f"caption {i}: 100 % “naïve” café 猫") for i, data in enumerate(pictures[:30])]


def read(source, unit_size=7):
    """The samples without what may differ: keys and metadata."""
    items = [item for unit in source.plan(unit_size) for item in source.read(unit)]
    return [replace(item, key="", metadata={}) for item in items]


def test_folder_webdataset_and_parquet_agree(tmp_path, records):
    (tmp_path / "folder").mkdir()
    for name, data, caption in records:
        (tmp_path / "folder" / f"{name}.jpg").write_bytes(data)
        (tmp_path / "folder" / f"{name}.txt").write_text(caption)
    images = [{"bytes": data, "path": None} for _, data, _ in records]
    pq.write_table(pa.table({"image": images, "text": [caption for *_, caption in records]}), tmp_path / "a.parquet", row_group_size=11)
    (tmp_path / "tars").mkdir()
    folder = SOURCES["folder"](str(tmp_path / "folder"))
    statistics = write_image_shard(str(tmp_path / "tars"), 0, [item for unit in folder.plan(100) for item in folder.read(unit)])

    from_folder = read(folder)
    assert len(from_folder) == statistics["count"] == 30
    assert read(SOURCES["parquet"](str(tmp_path / "a.parquet"))) == from_folder
    usable = [sample for sample in from_folder if sample.images["image"] not in (BROKEN["html"][0](), b"")]
    assert read(SOURCES["webdataset"](str(tmp_path / "tars"))) == usable
    assert len(usable) == statistics["successes"] == 28


def test_a_table_in_a_folder_and_a_json_in_a_tar_give_the_same_metadata(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture())
    row = {"licence": "CC0", "url": "http://x", "n": 3, "tags": ["a", "b"]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.jpg", "text": "a bee", **row}))
    source = SOURCES["folder"](str(tmp_path))
    [sample] = [item for unit in source.plan(10) for item in source.read(unit)]
    assert sample.metadata == row


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_is_a_frozen_dataclass_whose_fields_are_options(kind):
    source = SOURCES[kind]
    assert is_dataclass(source) and source.__dataclass_params__.frozen
    assert all(field.init for field in fields(source))


def test_memory_does_not_grow_with_the_input(tmp_path):
    pictures = [bytes([i]) * 100_000 for i in range(200)]  # 20 MB
    pq.write_table(pa.table({"image": pictures}), tmp_path / "a.parquet", row_group_size=20)
    (tmp_path / "folder").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for i, data in enumerate(pictures):
            (tmp_path / "folder" / f"{i}.jpg").write_bytes(data)
            tar.add(tmp_path / "folder" / f"{i}.jpg", f"{i}.jpg")
    for kind, path in (("folder", "folder"), ("webdataset", "a.tar"), ("parquet", "a.parquet")):
        source = SOURCES[kind](str(tmp_path / path))
        [unit] = source.plan(1000)
        arrow_before = pa.total_allocated_bytes()
        tracemalloc.start()
        for item in source.read(unit):
            assert len(item.images["image"]) == 100_000
            assert pa.total_allocated_bytes() - arrow_before < 10_000_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8_000_000, kind
