"""Image shards are img2dataset's: webdataset reads them, and so do we; a rerun writes the same bytes."""

import json
import tarfile

import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from pipeline.annotations import ANNOTATIONS
from pipeline.images import FILE_ENDINGS, FORMATS, read_header
from pipeline.samples import BadSample, ImageRef, Sample, Turn
from pipeline.shards.image_shards import key_flaw, write_image_shard
from pipeline.sources.folder import Folder
from pipeline.sources.unit import Unit
from pipeline.sources.webdataset_tars import WebDataset
from tests.broken_pictures import SIZE, gradient, html, picture

SAMPLES = [
    Sample("000000000", "a bee", {"image": picture()}, metadata={"url": "http://x", "licence": "CC0", "n": 1, "tags": ["a"]}),
    Sample("000000001", "caf\u00e9", {"image": picture("PNG"), "depth": picture("PNG")}, metadata={"n": 2.5, "original_width": 4000}),
    BadSample("000000002", "missing_file", "gone.jpg", metadata={"url": "http://y"}),
    Sample("000000003", "a page", {"image": html()}),
    Sample("deep/er", "", {"image": picture("WEBP")}),
]


def read(folder):
    source = WebDataset(str(folder))
    return [item for unit in source.plan(100) for item in source.read(unit)]


def test_webdataset_reads_what_is_written(tmp_path):
    write_image_shard(str(tmp_path), 3, SAMPLES)
    records = list(webdataset.WebDataset(str(tmp_path / "00003.tar"), shardshuffle=False))
    assert [r["__key__"] for r in records] == ["000000000", "000000001", "deep/er"]
    assert records[0]["jpg"] == picture() and records[0]["txt"] == b"a bee"
    assert records[1]["png"] == records[1]["depth.png"] == picture("PNG")
    assert json.loads(records[0]["json"])["licence"] == "CC0"
    assert "webp" in records[2]


def test_webdataset_decodes_them_as_open_clip_does(tmp_path):
    write_image_shard(str(tmp_path), 0, SAMPLES)
    pipeline = (
        webdataset.WebDataset(str(tmp_path / "00000.tar"), shardshuffle=False)
        .decode("pilrgb")
        .rename(image="jpg;png;jpeg;webp", text="txt")
    )
    pairs = [(record["image"].size, record["text"]) for record in pipeline]
    assert pairs == [(SIZE, "a bee"), (SIZE, "caf\u00e9"), (SIZE, "")]


def test_our_own_source_reads_what_is_written(tmp_path):
    write_image_shard(str(tmp_path), 0, SAMPLES)
    items = read(tmp_path)
    written = [sample for sample in SAMPLES if isinstance(sample, Sample) and sample.images["image"] != html()]
    assert [(s.key, s.caption, s.images) for s in items] == [(s.key, s.caption, s.images) for s in written]
    assert items[0].metadata["tags"] == ["a"] and items[0].metadata["url"] == "http://x"


CLASHES = {
    "caption": "an old one",
    "key": 7,
    "status": "draft",
    "error_message": ["none"],
    "width": "two feet",
    "height": 3,
    "original_width": 2**40,
    "original_height": True,
    "sha256": "",
    "url": 12,
    "exif": {"Make": "\u00e9"},
    ANNOTATIONS: "theirs",
}


@pytest.mark.parametrize("names", [*([name] for name in CLASHES), list(CLASHES)])
def test_metadata_whose_names_img2dataset_uses_come_back(tmp_path, names):
    sample = Sample("a", "new", {"image": picture()}, metadata={"licence": "CC0", **{name: CLASHES[name] for name in names}})
    for folder in ("first", "second"):  # what was read is written again
        write_image_shard(str(tmp_path / folder), 0, [sample])
        [found] = read(tmp_path / folder)
        assert (found.caption, found.metadata) == ("new", sample.metadata)
        sample = found


def test_metadata_are_said_once_where_no_name_clashes(tmp_path):
    write_image_shard(str(tmp_path / "first"), 0, [SAMPLES[1]])
    [sample] = read(tmp_path / "first")
    write_image_shard(str(tmp_path / "second"), 0, [sample])
    [again] = read(tmp_path / "second")
    assert again.metadata == sample.metadata and sample.metadata["n"] == 2.5
    assert (tmp_path / "first" / "00000.tar").read_bytes() == (tmp_path / "second" / "00000.tar").read_bytes()
    with tarfile.open(tmp_path / "second" / "00000.tar") as tar:
        text = tar.extractfile("000000001.json").read().decode()
    assert ANNOTATIONS not in json.loads(text) and "\n" not in text and ": " not in text


@pytest.mark.parametrize("caption", ["a bee", "a bee\n", "a bee\r\n\n", "\n", "\n a\nbee ", "\ufeffa bee", "\ufeff"])
def test_a_caption_comes_back_to_the_letter(tmp_path, caption):
    write_image_shard(str(tmp_path), 0, [Sample("a", caption, {"image": picture()})])
    assert [sample.caption for sample in read(tmp_path)] == [caption]


def test_a_caption_that_was_mended_by_hand_counts(tmp_path):
    write_image_shard(str(tmp_path), 0, [Sample("a", "a bee\n", {"image": picture()})])
    tar = (tmp_path / "00000.tar").read_bytes()
    assert tar.count(b"a bee\n\0") == 1
    (tmp_path / "00000.tar").write_bytes(tar.replace(b"a bee\n\0", b"a wasp\0"))
    assert [sample.caption for sample in read(tmp_path)] == ["a wasp"]


def in_format(kind):
    """A picture that Pillow calls so: one picture alone is no MPO."""
    more = {"save_all": True, "append_images": [Image.fromarray(gradient()[::-1])]} if kind == "MPO" else {}
    return picture(kind, **more)


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_of_every_format_come_back(tmp_path, kind):
    data = in_format(kind)
    assert read_header(data).format == kind
    write_image_shard(str(tmp_path / "shards"), 0, [Sample("a", "", {"image": data, "depth": data})])
    assert [sample.images for sample in read(tmp_path / "shards")] == [{"image": data, "depth": data}]
    for ending in FILE_ENDINGS[kind]:
        (tmp_path / f"{ending}.{ending.upper()}").write_bytes(data)
    assert [sample.images["image"] for sample in Folder(str(tmp_path)).read(Unit(0, "", 0, None))] == [data] * len(FILE_ENDINGS[kind])


@pytest.mark.parametrize(("kind", "ending"), [("MPO", "jpg"), ("JPEG2000", "jp2"), ("AVIF", "avif"), ("PPM", "ppm"), ("TIFF", "tiff")])
def test_a_format_has_its_usual_ending(tmp_path, kind, ending):
    write_image_shard(str(tmp_path), 0, [Sample("a", "", {"image": in_format(kind)})])
    with tarfile.open(tmp_path / "00000.tar") as tar:
        assert tar.getnames()[0] == f"a.{ending}"


def test_every_attempted_sample_has_its_row(tmp_path):
    write_image_shard(str(tmp_path), 0, SAMPLES)
    rows = pq.read_table(tmp_path / "00000.parquet").to_pylist()
    columns = ["url", "caption", "key", "status", "error_message", "width", "height", "original_width", "original_height", "exif", "sha256"]
    assert list(rows[0]) == [*columns, "licence", "n", "tags"]
    assert [row["status"] for row in rows] == ["success", "success", "failed_to_download", "failed_to_resize", "success"]
    assert [row["error_message"] for row in rows[2:4]] == ["missing_file: gone.jpg", "not_an_image: an HTML page"]
    assert [(row["width"], row["height"], row["original_width"]) for row in rows[:3]] == [
        (*SIZE, SIZE[0]),
        (*SIZE, 4000),
        (None, None, None),
    ]
    assert [row["n"] for row in rows] == [1.0, 2.5, None, None, None]
    assert rows[0]["tags"] == '["a"]' and len(rows[0]["sha256"]) == 64


@pytest.mark.parametrize(
    ("numbers", "column"),
    [
        ([2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
        ([2**63, 1], [str(2**63), "1"]),
        ([-(2**63) - 1], [str(-(2**63) - 1)]),
        ([2**53 - 1, 0.5], [2.0**53 - 1, 0.5]),
        ([2**53, 0.5], [str(2**53), "0.5"]),
        ([10**400, 0.5], [f"1{'0' * 400}", "0.5"]),
    ],
)
def test_numbers_that_no_column_holds_stand_as_text(tmp_path, numbers, column):
    write_image_shard(str(tmp_path), 0, [Sample(str(i), images={"image": picture()}, metadata={"n": n}) for i, n in enumerate(numbers)])
    assert pq.read_table(tmp_path / "00000.parquet")["n"].to_pylist() == column
    assert [sample.metadata["n"] for sample in read(tmp_path)] == numbers


def test_the_statistics_add_up(tmp_path):
    returned = write_image_shard(str(tmp_path), 0, SAMPLES)
    stored = json.loads((tmp_path / "00000_stats.json").read_text())
    assert stored == returned
    assert stored["count"] == stored["successes"] + stored["failed_to_download"] + stored["failed_to_resize"] == 5
    assert stored["status_dict"] == {"missing_file": 1, "not_an_image": 1, "success": 3}


def test_the_same_samples_give_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_image_shard(str(tmp_path / folder), 0, iter(SAMPLES))
    for name in ("00000.tar", "00000.parquet", "00000_stats.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([Sample("a.b", images={"image": picture()})], "'a.b'"),
        ([Sample("__a", images={"image": picture()})], "'__a'"),
        ([Sample("a", images={"image": picture()})] * 2, "'a' comes twice"),
        ([Sample("a", images={"image": picture()}, turns=(Turn("user", (ImageRef("image", (0, 0, 1, 1)),)),))], "no whole picture"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused_and_leaves_nothing_behind(tmp_path, samples, message):
    with pytest.raises(ValueError, match=message):
        write_image_shard(str(tmp_path), 0, samples)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["a", "_a", "a__", "b/__a", "/a", "a b/c", "a\nb", "caf\u00e9", "x" * 300, "a//b"])
def test_a_key_without_a_flaw_comes_back(tmp_path, key):
    assert key_flaw(key) == ""
    write_image_shard(str(tmp_path), 0, [Sample(key, images={"image": picture()})])
    assert [sample.key for sample in read(tmp_path)] == [key]


@pytest.mark.parametrize("key", ["", "__", "__a", "a.b", "b.c/a", "a/", "/", "a\0b"])
def test_a_key_that_would_not_come_back_has_a_flaw(tmp_path, key):
    assert key_flaw(key)
    with pytest.raises(ValueError, match="the key "):
        write_image_shard(str(tmp_path), 0, [Sample(key, images={"image": picture()})])


def test_a_shard_that_is_interrupted_is_not_finished(tmp_path):
    write_image_shard(str(tmp_path), 0, SAMPLES)

    def interrupted():
        yield SAMPLES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_image_shard(str(tmp_path), 0, interrupted())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.parquet", "00000.tar"]
    with tarfile.open(tmp_path / "00000.tar") as tar:
        assert len(tar.getnames()) == 10  # the earlier one, whole


def test_a_shard_without_samples_is_whole(tmp_path):
    assert write_image_shard(str(tmp_path), 0, [])["count"] == 0
    assert pq.read_table(tmp_path / "00000.parquet").num_rows == 0
    assert list(WebDataset(str(tmp_path)).read(WebDataset(str(tmp_path)).plan(10)[0])) == []
