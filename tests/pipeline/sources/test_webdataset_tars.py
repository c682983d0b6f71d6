"""Tars of samples: keys, roles, captions, and every way in which a tar can be wrong."""

import gzip
import io
import json
import tarfile

import fsspec
import pytest

from pipeline.annotations import ANNOTATIONS
from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Sample
from pipeline.sources.unit import Unit
from pipeline.sources.webdataset_tars import WebDataset

JPG = b"a picture"  # sources never look inside


def make_tar(members, format=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, encoding="utf-8", errors="surrogateescape") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def triples(num_samples):
    for i in range(num_samples):
        yield f"{i:05d}.jpg", JPG + bytes(900)
        yield f"{i:05d}.txt", f"caption {i}".encode()
        yield f"{i:05d}.json", json.dumps({"key": f"{i:05d}", "url": f"http://{i}"}).encode()


def read_all(source, unit_size=10_000):
    return [item for unit in source.plan(unit_size) for item in source.read(unit)]


def read_members(tmp_path, *members):
    (tmp_path / "x.tar").write_bytes(make_tar(members))
    return read_all(WebDataset(str(tmp_path / "x.tar")))


def test_line_ends_count_in_the_json_of_image_shards_alone(tmp_path):
    text, told = ("a.txt", b"a bee\n"), {"caption": "a bee\n"}
    [theirs] = read_members(tmp_path, ("a.jpg", JPG), text, ("a.json", json.dumps(told).encode()))
    [ours] = read_members(tmp_path, ("a.jpg", JPG), text, ("a.json", json.dumps({**told, ANNOTATIONS: {}}).encode()))
    assert (theirs.caption, ours.caption) == ("a bee", "a bee\n")


def test_a_sample_is_its_members_side_by_side(tmp_path):
    metadata = json.dumps({"key": "a/b", "caption": "a bee", "url": "http://x", "width": 3}).encode()
    first, second = read_members(
        tmp_path, ("a/b.JPG", JPG), ("a/b.txt", b"a bee\n"), ("a/b.json", metadata), ("c.depth.png", b"D"), ("c.png", b"P"), ("c.cls", b"7")
    )
    assert first == Sample("a/b", "a bee", {"image": JPG}, metadata={"url": "http://x", "width": 3})
    assert second == Sample("c", "", {"depth": b"D", "image": b"P"})


def test_the_caption_is_that_of_the_json_where_there_is_no_text(tmp_path):
    first, second = read_members(
        tmp_path, ("a.jpg", JPG), ("a.json", b'{"caption": "from json"}'), ("b.jpg", JPG), ("b.json", b'{"caption": null}')
    )
    assert (first.caption, first.metadata, second.caption) == ("from json", {}, "")


def test_a_text_beside_another_caption_wins_and_both_are_kept(tmp_path):
    [sample] = read_members(tmp_path, ("a.jpg", JPG), ("a.txt", b"text"), ("a.json", b'{"caption": "other"}'))
    assert (sample.caption, sample.metadata) == ("text", {"caption": "other"})


def test_names_follow_webdataset(tmp_path):
    items = read_members(
        tmp_path, ("./a.jpg", JPG), ("__meta__.json", b"{}"), ("README", b"x"), ("d/._a.jpg", JPG), ("v1.0/b.jpg", JPG), ("c.x.y.jpg", JPG)
    )
    assert [(item.key, list(item.images)) for item in items] == [("a", ["image"]), ("v1_0/b", ["image"]), ("c", ["x"])]


def test_members_apart_fail_wherever_they_lie(tmp_path):
    items = read_members(tmp_path, ("a.jpg", JPG), ("b.jpg", JPG), ("b.txt", b"b"), ("a.txt", b"caption of a"))
    assert [(item.key, getattr(item, "reason", "")) for item in items] == [("a", "members_apart"), ("b", ""), ("a", "members_apart")]


def test_a_key_that_comes_back_with_the_same_members_fails_the_second_time(tmp_path):
    items = read_members(tmp_path, ("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"))
    assert [(item.key, getattr(item, "reason", "")) for item in items] == [("a", ""), ("b", ""), ("a", "duplicate_key")]
    assert items[0].images["image"] == b"1"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("a.jpg", JPG), ("a.jpg", JPG)], "duplicate_member"),
        ([("a.jpg", JPG), ("a.png", JPG)], "duplicate_member"),
        ([("a.depth.jpg", JPG), ("a.depth.png", JPG)], "duplicate_member"),
        ([("a.jpg", JPG), ("a.txt", b"caf\xe9")], "caption_not_utf8"),
        ([("a.jpg", JPG), ("a.json", b"{")], "bad_json"),
        ([("a.jpg", JPG), ("a.json", b"[]")], "bad_json"),
        ([("a.jpg", JPG), ("a.json", b'{"x": "\xe9"}')], "bad_json"),
        ([("a.jpg", JPG), ("a.json", b'{"caption": "\\ud83d"}')], "caption_not_utf8"),
        ([("a.jpg", JPG), ("a.json", b'{"by": "\\ud83d"}')], "metadata_not_utf8"),
        ([("a.jpg", JPG), ("a.json", b'{"caption": 7}')], "bad_field"),
        ([("a.txt", b"no picture")], "missing_image"),
    ],
)
def test_a_bad_sample_fails_alone(tmp_path, members, reason):
    bad, good = read_members(tmp_path, *members, ("b.jpg", JPG))
    assert (bad.key, bad.reason) == ("a", reason)
    assert good == Sample("b", "", {"image": JPG})


def test_a_name_that_is_not_utf8_fails_alone(tmp_path):
    (tmp_path / "x.tar").write_bytes(make_tar([(b"caf\xe9.jpg", JPG), ("b.jpg", JPG)], tarfile.GNU_FORMAT))
    bad, good = read_all(WebDataset(str(tmp_path / "x.tar")))
    assert (bad.key, bad.reason, good.key) == ("caf\\xe9", "name_not_utf8", "b")
    f"{bad.key} {bad.message}".encode()


def test_long_names_are_whole(tmp_path):
    name = "folder/" * 30 + "x" * 150
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        (tmp_path / "x.tar").write_bytes(make_tar([(f"{name}.jpg", JPG), (f"{name}.txt", b"text")], format))
        assert read_all(WebDataset(str(tmp_path / "x.tar"))) == [Sample(name, "text", {"image": JPG})]


def test_a_tar_cut_at_any_byte_loses_no_whole_sample_and_says_where(tmp_path):
    data = make_tar(triples(4))
    stride = 512 + 1024 + 512 + 512 + 512 + 512  # headers and data of one sample
    ends = [i * stride + 3072 + len(json.dumps({"key": f"{i:05d}", "url": f"http://{i}"})) for i in range(4)]
    for cut in [*range(0, 4 * stride + 512, 211), *range(512, 4 * stride + 512, 512)]:
        (tmp_path / "x.tar").write_bytes(data[:cut])
        source = WebDataset(str(tmp_path / "x.tar"))
        if cut < 512:
            with pytest.raises(ShardError, match=r"x\.tar"):
                read_all(source)
            continue
        items = read_all(source)
        samples = [item for item in items if isinstance(item, Sample)]
        reasons = {item.key: item.reason for item in items if isinstance(item, BadSample)}
        num_whole = sum(cut >= end for end in ends)
        if num_whole == 1 and cut < stride + 512:
            num_whole = 0  # nothing before or after it tells that the first sample has all its members
        assert [sample.key for sample in samples] == [f"{i:05d}" for i in range(num_whole)], cut
        assert all(len(sample.images["image"]) == 909 and sample.caption and sample.metadata["url"] for sample in samples)
        assert list(reasons)[-1].startswith("x@") and set(reasons.values()) == {"corrupt_tar"}


def test_a_tar_with_its_end_of_archive_mark_is_whole(tmp_path):
    data = make_tar(triples(4))
    (tmp_path / "x.tar").write_bytes(data[: len(data.rstrip(b"\0")) // 512 * 512 + 1024])
    assert [type(item) for item in read_all(WebDataset(str(tmp_path / "x.tar")))] == [Sample] * 4


@pytest.mark.parametrize("member", [0, 1, 2])
def test_a_broken_header_ends_the_tar_aloud(tmp_path, member):
    data = bytearray(make_tar(triples(6)))
    place = 3 * 3584 + [0, 1536, 2560][member]  # sizes: header + 1024, header + 512, header + 512
    data[place : place + 100] = b"\xff" * 100
    (tmp_path / "x.tar").write_bytes(data)
    items = read_all(WebDataset(str(tmp_path / "x.tar")))
    assert [item.key for item in items if isinstance(item, Sample)] == ["00000", "00001", "00002"]
    incomplete = [("00003", "corrupt_tar")] if member else []
    assert [(item.key, item.reason) for item in items[3:]] == [*incomplete, (f"x@{place}", "corrupt_tar")]


@pytest.mark.parametrize("data", [b"", b"<html>" * 200, bytes(range(256)) * 10])
def test_what_is_no_tar_is_refused_as_a_whole(tmp_path, data):
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(ShardError, match=r"x\.tar: no tar"):
        read_all(WebDataset(str(tmp_path / "x.tar")))


def test_a_tar_without_members_has_no_samples(tmp_path):
    assert read_members(tmp_path) == []


def test_units_cut_a_large_tar_and_lose_nothing(tmp_path):
    (tmp_path / "x.tar").write_bytes(make_tar(triples(10)))
    source = WebDataset(str(tmp_path / "x.tar"))
    path = str(tmp_path / "x.tar")
    assert source.plan(4) == [Unit(0, path, 0, 4), Unit(1, path, 4, 8), Unit(2, path, 8, None)]
    assert [item.key for item in read_all(source, 4)] == [item.key for item in read_all(source)] == [f"{i:05d}" for i in range(10)]
    assert source.plan(10_000) == [Unit(0, path, 0, None)]


@pytest.mark.parametrize("told", [7, 10, 400])
def test_what_img2dataset_says_of_a_tar_is_believed_but_nothing_is_lost_by_it(tmp_path, told):
    (tmp_path / "x.tar").write_bytes(make_tar(triples(10)))
    (tmp_path / "x_stats.json").write_text(json.dumps({"successes": told}))
    source = WebDataset(str(tmp_path / "x.tar"))
    assert len(source.plan(4)) == -(-told // 4)
    assert [item.key for item in read_all(source, 4)] == [f"{i:05d}" for i in range(10)]


def test_members_apart_are_found_across_units(tmp_path):
    members = [("a.txt", b"caption"), *triples(4), ("a.jpg", JPG)]
    (tmp_path / "x.tar").write_bytes(make_tar(members))
    items = read_all(WebDataset(str(tmp_path / "x.tar")), 2)
    assert [item.reason for item in items if isinstance(item, BadSample)] == ["members_apart"] * 2
    assert items == read_all(WebDataset(str(tmp_path / "x.tar")))


def test_damage_is_told_once_when_a_tar_has_several_units(tmp_path):
    (tmp_path / "x.tar").write_bytes(make_tar(triples(10))[:-12_000])
    items = read_all(WebDataset(str(tmp_path / "x.tar")), 4)
    assert items == read_all(WebDataset(str(tmp_path / "x.tar")))
    assert [item.key for item in items if isinstance(item, BadSample)][-1].startswith("x@")


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("", "a b c"),
        ("/{00000..00002}.tar", "a b c"),
        ("/0000{2,0}.tar", "c a"),
        ("/*0[12].tar", "b c"),
        ("/00002.tar::{}/00000.tar", "c a"),
        ("/00001.tar", "b"),
    ],
)
def test_a_path_names_tars_as_in_webdataset(tmp_path, path, keys):
    for number, key in enumerate("abc"):
        (tmp_path / f"{number:05d}.tar").write_bytes(make_tar([(f"{key}.jpg", JPG)]))
    (tmp_path / "00000.parquet").write_bytes(b"not a tar")
    source = WebDataset(str(tmp_path) + path.replace("{}", str(tmp_path)))
    assert " ".join(item.key for item in read_all(source)) == keys
    assert [unit.index for unit in source.plan(100)] == list(range(len(keys.split())))
    assert set(source.fingerprint().values()) == {"10240 bytes"}


@pytest.mark.parametrize("path", ["/{00000..00001}.tar", "/*.tgz", "/empty", "/0.tar::{}/0.tar", "/{0..", "/00000.tar::{}/00000.tar"])
def test_a_path_that_names_nothing_or_a_tar_twice_is_refused(tmp_path, path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "00000.tar").write_bytes(make_tar([("a.jpg", JPG)]))
    with pytest.raises(RecipeError, match=r"no such file|no file matches|no \.tar file|twice|Unbalanced"):
        WebDataset(str(tmp_path) + path.replace("{}", str(tmp_path))).plan(10)


def test_compressed_and_remote_tars_are_read_alike(tmp_path):
    data = make_tar(triples(5))
    (tmp_path / "x.tar").write_bytes(data)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(data))
    fsspec.filesystem("memory").pipe_file("/tars/x.tar", data)
    wanted = read_all(WebDataset(str(tmp_path / "x.tar")))
    assert len(wanted) == 5
    assert read_all(WebDataset(str(tmp_path / "x.tar.gz"))) == wanted
    assert read_all(WebDataset("memory://tars/*.tar")) == wanted


def test_a_compressed_tar_that_is_cut_off_keeps_what_came_before(tmp_path):
    data = gzip.compress(make_tar((f"{i}.jpg", bytes(i.to_bytes(2, "big")) * 40_000) for i in range(40)))
    (tmp_path / "x.tar.gz").write_bytes(data[: len(data) // 2])
    items = read_all(WebDataset(str(tmp_path / "x.tar.gz")))
    assert len(items) > 5 and items[-1].reason == "corrupt_tar"
    assert all(isinstance(item, Sample) for item in items[:-1])
