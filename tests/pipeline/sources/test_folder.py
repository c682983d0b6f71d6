"""Folders of pictures: names, captions beside them and in tables, and everything that can be wrong with them."""

import json
import os

import fsspec
import pytest

from pipeline.errors import RecipeError
from pipeline.samples import BadSample, Sample
from pipeline.sources.folder import Folder
from tests.broken_pictures import html, picture


def write(root, files):
    for name, data in files.items():
        path = os.path.join(os.fsencode(root), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
    return Folder(str(root))


def read(source, unit_size=100):
    return [item for unit in source.plan(unit_size) for item in source.read(unit)]


def reasons(items):
    return {item.key: item.reason for item in items if isinstance(item, BadSample)}


def table(*rows):
    return "\n".join(json.dumps(row) for row in rows) + "\n"


def test_pictures_come_sorted_with_the_caption_beside_them(tmp_path):
    source = write(
        tmp_path, {"b.jpg": picture(), "b.txt": "a bee\n", "a/2.PNG": picture("PNG"), "a/1.webp": picture("WEBP"), "notes.md": "no"}
    )
    samples = read(source)
    assert [(s.key, s.caption) for s in samples] == [("a/1", ""), ("a/2", ""), ("b", "a bee")]
    assert samples[1].images == {"image": picture("PNG")}


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp", "gif", "bmp", "tif", "TIFF"])
def test_every_ending_of_a_picture_counts(tmp_path, ending):
    assert [s.key for s in read(write(tmp_path, {f"x.{ending}": picture()}))] == ["x"]


def test_a_page_that_calls_itself_a_picture_is_a_sample(tmp_path):
    [sample] = read(write(tmp_path, {"x.jpg": html()}))
    assert sample.images == {"image": html()}


def test_dots_leave_a_key_and_a_key_that_is_taken_fails(tmp_path):
    source = write(tmp_path, {"a.b.jpg": picture(), "a_b.jpg": picture(), "a_b.png": picture("PNG"), "c.jpg": picture()})
    items = read(source)
    assert [(type(item), item.key) for item in items] == [(Sample, "a_b"), (BadSample, "a_b"), (BadSample, "a_b"), (Sample, "c")]
    assert {item.reason for item in items[1:3]} == {"duplicate_key"}
    assert "a_b.jpg and a.b.jpg" in items[1].message


def test_captions_come_from_a_table(tmp_path):
    rows = table({"file_name": "a.jpg", "text": "from the table", "licence": "CC0", "n": 3}, {"file_name": "b.jpg", "n": 4})
    source = write(tmp_path, {"a.jpg": picture(), "a.txt": "beside", "b.jpg": picture(), "b.txt": "beside", "metadata.jsonl": rows})
    a, b = read(source)
    assert (a.caption, a.metadata) == ("from the table", {"licence": "CC0", "n": 3})
    assert (b.caption, b.metadata) == ("beside", {"n": 4})


def test_a_table_in_comma_separated_values_is_read_too(tmp_path):
    source = write(tmp_path, {"a.jpg": picture(), "metadata.csv": 'file_name,text,licence\na.jpg,"one, two",CC0\n'})
    [sample] = read(source)
    assert (sample.caption, sample.metadata) == ("one, two", {"licence": "CC0"})


def test_the_nearest_table_above_a_picture_counts(tmp_path):
    far = table({"file_name": "sub/a.jpg", "text": "far"}, {"file_name": "sub/b.jpg", "text": "far"})
    near = table({"file_name": "a.jpg", "text": "near"})
    source = write(tmp_path, {"sub/a.jpg": picture(), "sub/b.jpg": picture(), "metadata.jsonl": far, "sub/metadata.jsonl": near})
    assert [s.caption for s in read(source)] == ["near", "far"]


def test_a_picture_that_a_table_names_in_vain_fails(tmp_path):
    rows = table({"file_name": "gone.jpg", "text": "x"}, {"file_name": "../out.jpg", "text": "x"})
    items = read(write(tmp_path, {"a.jpg": picture(), "metadata.jsonl": rows}))
    assert reasons(items) == {"__/out": "missing_file", "gone": "missing_file"}
    assert "metadata.jsonl:1 names gone.jpg" in items[2].message


def test_a_picture_that_a_table_names_twice_fails_once(tmp_path):
    rows = table({"file_name": "a.jpg", "text": "first"}, {"file_name": "./a.jpg", "text": "second"})
    first, second = read(write(tmp_path, {"a.jpg": picture(), "metadata.jsonl": rows}))
    assert first.caption == "first"
    assert second.reason == "duplicate_key" and "metadata.jsonl:2" in second.message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"file_name": "a.jpg"}\n{"file_name": ', r"metadata\.jsonl:2: no JSON"),
        ('{"text": "x"}\n', r'metadata\.jsonl:1: wants a record with a "file_name"'),
        ("[1]\n", r"metadata\.jsonl:1: wants a record"),
        ('{"file_name": 3}\n', r"metadata\.jsonl:1: wants a record"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path, rows, message):
    with pytest.raises(RecipeError, match=message):
        write(tmp_path, {"a.jpg": picture(), "metadata.jsonl": rows}).plan(10)


def test_a_ragged_table_is_refused_with_its_line(tmp_path):
    with pytest.raises(RecipeError, match=r"metadata\.csv:3: not as many fields"):
        write(tmp_path, {"a.jpg": picture(), "metadata.csv": "file_name,text\na.jpg,x\nb.jpg\n"}).plan(10)


def test_two_tables_in_one_folder_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="which one counts"):
        write(tmp_path, {"a.jpg": picture(), "metadata.csv": "file_name\na.jpg\n", "metadata.jsonl": table({"file_name": "a.jpg"})}).plan(
            10
        )


def test_what_is_not_utf8_fails_alone_and_can_be_written_down(tmp_path):
    lines = b'{"file_name": "c.jpg", "text": "caf\xe9"}\n{"file_name": "d.jpg", "by": "\xe9"}\n{"file_name": "e.jpg", "text": "\\ud83d"}\n'
    files = {b"na\xefve.jpg": picture(), "b.jpg": picture(), "b.txt": b"caf\xe9", "f.jpg": picture()}
    items = read(write(tmp_path, {**files, "c.jpg": picture(), "d.jpg": picture(), "e.jpg": picture(), "metadata.jsonl": lines}))
    wanted = {
        "b": "caption_not_utf8",
        "c": "caption_not_utf8",
        "d": "metadata_not_utf8",
        "e": "caption_not_utf8",
        "na\\xefve": "name_not_utf8",
    }
    assert reasons(items) == wanted
    assert [item.key for item in items if isinstance(item, Sample)] == ["f"]
    for item in items:
        f"{item.key} {getattr(item, 'message', '')}".encode()
    assert items[0].message == "caf\\xe9"


def test_a_table_finds_a_picture_whose_name_is_not_utf8(tmp_path):
    items = read(write(tmp_path, {b"\xe9.jpg": picture(), "metadata.jsonl": b'{"file_name": "\xe9.jpg", "text": "x"}\n'}))
    assert [item.reason for item in items] == ["name_not_utf8"]


def test_a_caption_that_is_no_text_fails(tmp_path):
    [item] = read(write(tmp_path, {"a.jpg": picture(), "metadata.jsonl": table({"file_name": "a.jpg", "text": 7})}))
    assert item.reason == "bad_field" and "metadata.jsonl:1" in item.message


def test_a_caption_keeps_its_inner_lines_but_not_a_byte_order_mark(tmp_path):
    [sample] = read(write(tmp_path, {"a.jpg": picture(), "a.txt": "\ufeff one\ntwo \r\n"}))
    assert sample.caption == " one\ntwo "


def test_a_picture_that_vanishes_after_planning_fails_alone(tmp_path):
    source = write(tmp_path, {"a.jpg": picture(), "b.jpg": picture()})
    units = source.plan(10)
    os.remove(tmp_path / "a.jpg")
    assert [type(item) for item in source.read(units[0])] == [BadSample, Sample]


def test_units_cut_the_list_and_lose_nothing(tmp_path):
    source = write(tmp_path, {f"{i}.jpg": picture() for i in range(7)})
    units = source.plan(3)
    assert [(unit.index, unit.start, unit.stop) for unit in units] == [(0, 0, 3), (1, 3, 6), (2, 6, 7)]
    assert [s.key for s in read(source, 3)] == [s.key for s in read(source, 100)] == [str(i) for i in range(7)]


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_a_folder_without_pictures_is_refused(tmp_path, path):
    with pytest.raises(RecipeError, match=r"no picture below|no such folder"):
        Folder(str(tmp_path) + path).plan(10)


def test_the_fingerprint_changes_with_names_and_sizes(tmp_path):
    source = write(tmp_path, {"a.jpg": b"123", "sub/b.jpg": b"1"})
    before = source.fingerprint()
    assert before.keys() == {str(tmp_path), f"{tmp_path}/sub"}
    assert Folder(str(tmp_path)).fingerprint() == before
    write(tmp_path, {"sub/b.jpg": b"12"})
    after = Folder(str(tmp_path)).fingerprint()
    assert [path for path in before if before[path] != after[path]] == [f"{tmp_path}/sub"]


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_urls_are_read_as_local_folders_are(tmp_path, protocol):
    files = {"a.jpg": picture(), "sub/b.png": picture("PNG"), "sub/b.txt": b"a bee"}
    url = f"{protocol}://{tmp_path}"
    fs = fsspec.filesystem(protocol)
    for name, data in files.items():
        fs.makedirs(os.path.dirname(f"{tmp_path}/{name}"), exist_ok=True)
        fs.pipe_file(f"{tmp_path}/{name}", data)
    assert [(s.key, s.caption) for s in read(Folder(url))] == [("a", ""), ("sub/b", "a bee")]
