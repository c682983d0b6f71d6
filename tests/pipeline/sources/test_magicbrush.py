"""MagicBrush, as it is published: sessions out of tables that are cut anywhere, and out of the test set's folder."""

import json
import re
from copy import deepcopy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Sample
from pipeline.sources.magicbrush import MagicBrush
from pipeline.sources.unit import Unit

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [
        ("img_id", pa.string()),
        ("turn_index", pa.int32()),
        ("source_img", PICTURE),
        ("mask_img", PICTURE),
        ("instruction", pa.string()),
        ("target_img", PICTURE),
    ]
)


def cell(name):
    return {"bytes": f"{name}'s bytes".encode(), "path": name}


def session(name, num_turns):
    """The rows of a session: file names as MagicBrush has them."""
    pictures = [f"{name}-input.png", *(f"{name}-output{turn}.png" for turn in range(1, num_turns + 1))]
    return [
        {
            "img_id": name,
            "turn_index": turn,
            "source_img": cell(pictures[turn - 1]),
            "mask_img": cell(f"{name}-mask{turn}.png"),
            "instruction": f"edit {turn} of {name}",
            "target_img": cell(pictures[turn]),
        }
        for turn in range(1, num_turns + 1)
    ]


def sample(name, num_turns, masks=False):
    roles = {"image": "input"}
    for turn in range(1, num_turns + 1):
        roles |= {f"edited_{turn}": f"output{turn}"} | ({f"mask_{turn}": f"mask{turn}"} if masks else {})
    return Sample(
        name,
        images={role: f"{name}-{file}.png's bytes".encode() for role, file in roles.items()},
        metadata={f"instruction_{turn}": f"edit {turn} of {name}" for turn in range(1, num_turns + 1)},
    )


def write_table(path, rows, schema=SCHEMA, **options):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, **options)
    return str(path)


def write_folder(tmp_path, sessions):
    """The test set's folder, of the same sessions."""
    said = {}
    for name, num_turns in sessions:
        (tmp_path / "images" / name).mkdir(parents=True)
        said[name] = []
        for row in session(name, num_turns):
            cells = {field: row[column] for field, column in (("input", "source_img"), ("mask", "mask_img"), ("output", "target_img"))}
            said[name].append({**{field: value["path"] for field, value in cells.items()}, "instruction": row["instruction"]})
            for value in cells.values():
                (tmp_path / "images" / name / value["path"]).write_bytes(value["bytes"])
    (tmp_path / "edit_sessions.json").write_text(json.dumps(said, indent=4))
    return said


def read(source, unit_size=100):
    units = source.plan(unit_size)
    source = deepcopy(source)  # as it travels to a worker
    return [item for unit in units for item in source.read(unit)]


@pytest.mark.parametrize("masks", [False, True])
def test_rows_of_one_picture_are_a_session(tmp_path, masks):
    path = write_table(
        tmp_path / "train-00000-of-00051-9fd9f23e2b1cb397.parquet", session("368667", 1) + session("7", 3) + session("34", 2)
    )
    assert read(MagicBrush(path, masks=masks)) == [sample("368667", 1, masks), sample("7", 3, masks), sample("34", 2, masks)]


def test_the_test_sets_folder_gives_the_same(tmp_path):
    write_folder(tmp_path, [("368667", 1), ("7", 3)])
    for path in (str(tmp_path), str(tmp_path / "edit_sessions.json")):
        source = MagicBrush(path)
        assert read(source) == read(source, 1) == [sample("368667", 1), sample("7", 3)]
        assert len(source.plan(1)) == 2
        assert list(source.fingerprint()) == [str(tmp_path / "edit_sessions.json")]
    assert read(MagicBrush(str(tmp_path), masks=True)) == [sample("368667", 1, True), sample("7", 3, True)]


@pytest.mark.parametrize("unit_size", [1, 2, 3, 100])
@pytest.mark.parametrize("rows_per_file", [1, 2, 3, 4, 5, 100])
@pytest.mark.parametrize("row_group_size", [1, 3, 1000])
def test_sessions_are_whole_wherever_files_and_units_are_cut(tmp_path, unit_size, rows_per_file, row_group_size):
    sessions = [("a", 2), ("b", 1), ("c", 3), ("d", 3), ("e", 1), ("f", 2), ("g", 1)]
    rows = [row for name, num_turns in sessions for row in session(name, num_turns)]
    for number, first in enumerate(range(0, len(rows), rows_per_file)):
        write_table(tmp_path / f"train-{number:05d}.parquet", rows[first : first + rows_per_file], row_group_size=row_group_size)
    source = MagicBrush(str(tmp_path))
    assert read(source, unit_size) == [sample(name, num_turns) for name, num_turns in sessions]
    units = source.plan(unit_size)
    assert [unit.index for unit in units] == list(range(len(units)))
    assert sum(unit.stop - unit.start for unit in units) == len(sessions)
    assert max(unit.stop - unit.start for unit in units) <= unit_size


def test_a_file_without_rows_is_passed_over(tmp_path):
    rows = session("a", 3)
    for name, part in (("0", rows[:1]), ("1", []), ("2", rows[1:]), ("3", [])):
        write_table(tmp_path / f"{name}.parquet", part)
    source = MagicBrush(str(tmp_path))
    assert source.plan(10) == [Unit(0, f"{tmp_path}/0.parquet", 0, 1)]
    assert read(source) == [sample("a", 3)]


def test_only_ids_are_read_while_planning(tmp_path):
    path = tmp_path / "a.parquet"
    rows = [row for n in range(50) for row in session(str(n), 1)]
    for row in rows:
        row["source_img"]["bytes"] = row["img_id"].encode() * 5000
    write_table(path, rows, compression="none", use_dictionary=["img_id"])
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(SCHEMA.names.index("source_img"))
    assert column.path_in_schema == "source_img.bytes"
    start = column.data_page_offset
    data[start : start + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    source = MagicBrush(str(path))
    [unit] = source.plan(100)
    with pytest.raises(ShardError, match=r"a\.parquet"):
        list(source.read(unit))


def test_a_turn_follows_by_bytes_or_by_the_name_of_its_picture(tmp_path):
    by_bytes, by_name = session("a", 2), session("b", 2)
    by_bytes[1]["source_img"]["path"] = None
    by_name[1]["source_img"]["bytes"] = b"encoded anew"
    assert read(MagicBrush(write_table(tmp_path / "a.parquet", by_bytes + by_name))) == [sample("a", 2), sample("b", 2)]


def change(row, **values):
    return lambda rows: rows[row].update(values)


@pytest.mark.parametrize(
    ("damage", "row", "reason", "message"),
    [
        (change(1, target_img={"bytes": None, "path": "x.png"}), 1, "missing_image", "no bytes in target_img"),
        (change(0, source_img=None), 0, "missing_image", "no bytes in source_img"),
        (change(2, mask_img=None), 2, "missing_image", "no bytes in mask_img"),
        (change(1, turn_index=3), 1, "bad_turns", "turn_index is 3 where 2 is due"),
        (change(0, turn_index=0), 0, "bad_turns", "turn_index is 0 where 1 is due"),
        (change(1, turn_index=None), 1, "bad_turns", "turn_index is None where 2 is due"),
        (change(2, source_img=cell("other.png")), 2, "bad_turns", "source_img is not the target_img of the turn before"),
        (change(2, source_img={"bytes": b"other", "path": None}), 2, "bad_turns", "source_img is not the target_img"),
        (change(1, instruction=None), 1, "bad_field", "instruction is no text but None"),
        (change(1, instruction=" "), 1, "bad_field", "instruction is no text but"),
    ],
)
def test_a_bad_row_fails_its_session_alone_and_is_named(tmp_path, damage, row, reason, message):
    rows = session("bad", 3)
    damage(rows)
    path = write_table(tmp_path / "a.parquet", session("a", 2) + rows + session("b", 1))
    first, second, third = read(MagicBrush(path, masks=True))
    assert isinstance(second, BadSample) and (second.key, second.reason) == ("bad", reason)
    assert second.message.startswith(f"{path}, row {2 + row}: ") and message in second.message
    assert (first, third) == (sample("a", 2, True), sample("b", 1, True))


def test_masks_that_are_missing_do_no_harm_where_they_are_not_wanted(tmp_path):
    rows = [{name: value for name, value in row.items() if name != "mask_img"} for row in session("a", 2)]
    schema = pa.schema([field for field in SCHEMA if field.name != "mask_img"])
    path = write_table(tmp_path / "a.parquet", rows, schema)
    assert read(MagicBrush(path)) == [sample("a", 2)]
    with pytest.raises(RecipeError, match="no column mask_img; there are img_id, turn_index"):
        MagicBrush(path, masks=True).plan(10)


def test_rows_without_an_id_and_texts_that_are_not_utf8_fail_alone(tmp_path):
    rows = session("a", 1) + session("b", 1) + session("c", 1) + session("d.e", 1)
    rows[1]["img_id"] = None
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    said = pa.array([b"edit 1 of a", b"x", b"caf\xe9", b"edit 1 of d.e"])
    table = table.set_column(4, "instruction", pa.Array.from_buffers(pa.string(), 4, said.buffers()))
    pq.write_table(table, tmp_path / "t.parquet")
    items = read(MagicBrush(str(tmp_path / "t.parquet")))
    assert [(item.key, getattr(item, "reason", "")) for item in items] == [
        ("a", ""),
        ("t/1", "missing_key"),
        ("c", "text_not_utf8"),
        ("d_e", ""),
    ]
    assert items[2].message.endswith("row 2: instruction: caf\\xe9")


def test_what_is_no_table_of_magicbrush_is_refused(tmp_path):
    pq.write_table(pa.table({"img_id": ["7"], "source_img": [b"x"]}), tmp_path / "a.parquet")
    with pytest.raises(RecipeError, match="no column turn_index, instruction, target_img; there are img_id, source_img"):
        MagicBrush(str(tmp_path)).plan(10)
    (tmp_path / "a.parquet").write_bytes(b"no table")
    with pytest.raises(RecipeError, match=r"a\.parquet: no Parquet file"):
        MagicBrush(str(tmp_path)).plan(10)
    write_table(tmp_path / "a.parquet", [])
    with pytest.raises(RecipeError, match="no session in 1 files"):
        MagicBrush(str(tmp_path)).plan(10)


@pytest.mark.parametrize(
    ("values", "reason", "message"),
    [
        ({"output": "gone.png"}, "missing_image", r"images/7/gone\.png: FileNotFoundError"),
        ({"input": "7-input.png"}, "bad_turns", r"input is '7-input\.png' where '7-output1\.png' is due"),
        ({"instruction": None}, "bad_field", "instruction is no text but None"),
        ({"mask": 7}, "bad_field", "mask is no text but 7"),
    ],
)
def test_a_bad_turn_in_the_folder_fails_its_session_alone_and_is_named(tmp_path, values, reason, message):
    said = write_folder(tmp_path, [("368667", 1), ("7", 2), ("34", 2)])
    said["7"][1].update(values)
    (tmp_path / "edit_sessions.json").write_text(json.dumps(said, indent=4))
    first, second, third = read(MagicBrush(str(tmp_path), masks=True))
    assert isinstance(second, BadSample) and (second.key, second.reason) == ("7", reason)
    assert re.search(message, second.message)
    lines = (tmp_path / "edit_sessions.json").read_text().split("\n")
    turns = [number for number, line in enumerate(lines, 1) if line == "        {"]
    assert second.message.startswith(f"{tmp_path}/edit_sessions.json:{turns[2]}: 7[1]: ")
    assert (first, third) == (sample("368667", 1, True), sample("34", 2, True))


def test_a_json_file_that_holds_no_sessions_is_refused(tmp_path):
    (tmp_path / "edit_sessions.json").write_text('[{"input": "a.png"}]')
    with pytest.raises(RecipeError, match=r"edit_sessions\.json:1: no JSON"):
        MagicBrush(str(tmp_path)).plan(10)
    (tmp_path / "edit_sessions.json").write_text('{"7": {"7-input.png": "a description"}}')
    with pytest.raises(RecipeError, match="no session in 1 files"):
        MagicBrush(str(tmp_path)).plan(10)
