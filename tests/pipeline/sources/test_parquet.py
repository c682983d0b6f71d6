"""Tables with pictures in them."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Sample
from pipeline.sources.parquet import Parquet
from pipeline.sources.unit import Unit

JPG = b"a picture"  # sources never look inside


def write(path, columns, **options):
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return str(path)


def read(source, unit_size=1000):
    return [item for unit in source.plan(unit_size) for item in source.read(unit)]


def invalid_text(*values):
    """A string column that is no UTF-8, as some writers leave it."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(list(values), pa.binary()).buffers())


@pytest.mark.parametrize("image_column", ["image", "jpg", "bytes"])
@pytest.mark.parametrize("caption_column", ["caption", "text", "TEXT"])
def test_columns_are_found_by_name(tmp_path, image_column, caption_column):
    path = write(tmp_path / "a.parquet", {"URL": ["http://x"], caption_column: ["a bee"], image_column: [JPG], "n": [3]})
    assert read(Parquet(path)) == [Sample("0", "a bee", {"image": JPG}, metadata={"URL": "http://x", "n": 3})]


def test_a_struct_of_bytes_and_path_is_a_picture(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": [{"bytes": JPG, "path": "x.jpg"}, {"bytes": None, "path": "x.jpg"}], "text": ["a", "b"]})
    good, bad = read(Parquet(path))
    assert good == Sample("0", "a", {"image": JPG})
    assert (bad.key, bad.reason) == ("1", "missing_image")


def test_columns_can_be_named(tmp_path):
    columns = {"image": ["not bytes"], "photo": [JPG], "caption": ["no"], "title": ["yes"], "id": ["x.1"]}
    source = Parquet(write(tmp_path / "a.parquet", columns), image_column="photo", caption_column="title", key_column="id")
    assert read(source) == [Sample("x_1", "yes", {"image": JPG}, metadata={"image": "not bytes", "caption": "no"})]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_every_kind_of_bytes_is_a_picture(tmp_path, kind):
    [sample] = read(Parquet(write(tmp_path / "a.parquet", {"image": pa.array([JPG], kind)})))
    assert sample.images == {"image": JPG}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_every_kind_of_text_is_a_caption(tmp_path, kind):
    caption = pa.array(["a bee", None], pa.string()).cast(kind)
    assert [s.caption for s in read(Parquet(write(tmp_path / "a.parquet", {"image": [JPG, JPG], "text": caption})))] == ["a bee", ""]


def test_metadata_is_what_json_can_hold(tmp_path):
    columns = {
        "image": [JPG],
        "nan": [float("nan")],
        "share": [0.5],
        "safe": [True],
        "day": [datetime.date(2026, 1, 2)],
        "price": [decimal.Decimal("1.50")],
        "none": pa.array([None], pa.string()),
        "boxes": [[1, 2]],
        "blob": [b"\xff"],
    }
    [sample] = read(Parquet(write(tmp_path / "a.parquet", columns)))
    assert sample.metadata == {"nan": None, "share": 0.5, "safe": True, "day": "2026-01-02", "price": "1.50", "none": None}


def test_rows_are_counted_over_all_files(tmp_path):
    for number, name in enumerate("ab"):
        write(tmp_path / f"{name}.parquet", {"image": [JPG] * 3, "text": [f"{number}{i}" for i in range(3)]})
    (tmp_path / "notes.txt").write_text("no table")
    source = Parquet(str(tmp_path))
    assert [(s.key, s.caption) for s in read(source)] == [(str(i), f"{i // 3}{i % 3}") for i in range(6)]
    assert source.plan(2) == [
        Unit(index, f"{tmp_path}/{name}.parquet", *rows)
        for index, (name, rows) in enumerate([("a", (0, 2)), ("a", (2, 3)), ("b", (0, 2)), ("b", (2, 3))])
    ]


@pytest.mark.parametrize("unit_size", [1, 4, 7, 33, 1000])
@pytest.mark.parametrize("row_group_size", [1, 5, 64, 200])
def test_units_lose_nothing_whatever_the_row_groups(tmp_path, unit_size, row_group_size):
    columns = {"image": [str(i).encode() for i in range(100)], "text": [str(i) for i in range(100)]}
    source = Parquet(write(tmp_path / "a.parquet", columns, row_group_size=row_group_size))
    wanted = [Sample(str(i), str(i), {"image": str(i).encode()}) for i in range(100)]
    assert read(source, unit_size) == wanted


def test_what_is_not_utf8_fails_alone(tmp_path):
    table = pa.table(
        {
            "image": [JPG] * 4,
            "text": invalid_text(b"fine", b"caf\xe9", b"fine", b"fine"),
            "by": invalid_text(b"x", b"x", b"\xe9", b"x"),
            "id": invalid_text(b"a", b"b", b"c", b"\xe9"),
        }
    )
    items = read(Parquet(write(tmp_path / "a.parquet", table), key_column="id"))
    found = [(item.key, getattr(item, "reason", "")) for item in items]
    assert found == [("a", ""), ("b", "caption_not_utf8"), ("c", "metadata_not_utf8"), ("\\xe9", "name_not_utf8")]
    assert (items[1].message, items[2].message) == ("caf\\xe9", "by: \\xe9")


def test_a_row_without_a_key_fails(tmp_path):
    source = Parquet(write(tmp_path / "a.parquet", {"image": [JPG] * 3, "id": ["x", None, ""]}), key_column="id")
    assert [getattr(item, "reason", "") for item in read(source)] == ["", "missing_key", "missing_key"]
    assert len({item.key for item in read(source)}) == 3


def test_numbers_can_be_keys(tmp_path):
    source = Parquet(write(tmp_path / "a.parquet", {"image": [JPG], "id": [7]}), key_column="id")
    assert [item.key for item in read(source)] == ["7"]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"URL": ["http://x"], "TEXT": ["x"]}, {}, "downloading them is a step of its own"),
        ({"url": ["http://x"], "image": ["x.jpg"]}, {}, "downloading them is a step of its own"),
        ({"text": ["x"]}, {}, "no column of pictures; name one by image_column, of text"),
        ({"image": ["x.jpg"]}, {"image_column": "image"}, "image_column 'image' is string; wants binary"),
        ({"image": [JPG]}, {"image_column": "photo"}, "image_column 'photo' is no column; there are image"),
        ({"image": [JPG]}, {"caption_column": "title"}, "caption_column 'title' is no column"),
        ({"image": [JPG], "title": [3]}, {"caption_column": "title"}, "caption_column 'title' is int64; wants string"),
        ({"image": [JPG]}, {"key_column": "id"}, "key_column 'id' is no column"),
        ({"image": pa.array([], pa.binary())}, {}, "no row in 1 files"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_before_any_work(tmp_path, columns, options, message):
    with pytest.raises(RecipeError, match=message):
        Parquet(write(tmp_path / "a.parquet", columns), **options).plan(10)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no table at all" * 100])
def test_what_is_no_table_is_refused(tmp_path, data):
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(RecipeError, match=r"a\.parquet: no Parquet file"):
        Parquet(str(tmp_path / "a.parquet")).plan(10)


def test_a_table_that_is_damaged_inside_fails_its_unit(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": [bytes([i]) * 1000 for i in range(100)]}, compression="zstd", use_dictionary=False)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[10:400] = b"\xff" * 390
    (tmp_path / "a.parquet").write_bytes(data)
    source = Parquet(path)
    with pytest.raises(ShardError, match=r"a\.parquet"):
        read(source)


def test_the_fingerprint_is_the_size_of_each_file(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": [JPG]})
    assert Parquet(path).fingerprint() == {path: f"{(tmp_path / 'a.parquet').stat().st_size} bytes"}


def test_a_picture_that_img2dataset_could_not_fetch_fails(tmp_path):
    columns = {"jpg": pa.array([JPG, None], pa.binary()), "caption": ["a", "b"], "status": ["success", "failed_to_download"]}
    good, bad = read(Parquet(write(tmp_path / "a.parquet", columns)))
    assert isinstance(good, Sample) and isinstance(bad, BadSample)
    assert bad.metadata["status"] == "failed_to_download"
