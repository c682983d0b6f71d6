"""JSON in pieces says what json.loads says, wherever the pieces end."""

import io
import json
import random
import tracemalloc

import pytest

from pipeline.errors import RecipeError, ShardError
from pipeline.sources import json_stream
from pipeline.sources.json_items import find_items, read_items
from pipeline.sources.json_stream import JsonReader, iterate_list, iterate_lists

ITEMS = [
    {"a": 'quo"te \\ \n', "b": [1, 2.5e-3, -0.0, True, None]},
    "naïve 猫 😀",
    12345,
    -7,
    {},
    [],
    "",
    float("inf"),
    {"x": {"y": ["z"] * 9}},
]


def random_value(rng, depth=0):
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind == 4:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return {str(i): random_value(rng, depth + 1) for i in range(rng.randrange(4))}
    return (
        rng.randrange(-(10**9), 10**9),
        rng.random() * 10.0 ** rng.randrange(-30, 30),
        rng.choice([True, False, None]),
        'é\\"猫😀\n' * kind,
    )[kind]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 1 << 22])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_list_in_pieces_is_the_list(monkeypatch, piece, indent, ascii_only):
    monkeypatch.setattr(json_stream, "PIECE", piece)
    rng = random.Random(7)
    for items in ([], ITEMS, [random_value(rng) for _ in range(40)]):
        data = (" " + json.dumps(items, indent=indent, ensure_ascii=ascii_only) + "\n").encode()
        reader = JsonReader(io.BytesIO(data), "x.json")
        found = list(iterate_list(reader))
        reader.finish("list")
        assert [item for *_, item in found] == items
        for offset, line, item in found:
            assert line == data[:offset].count(b"\n") + 1
            assert json.JSONDecoder().raw_decode(data[offset:].decode())[0] == item


@pytest.mark.parametrize("piece", [1, 5, 1 << 22])
def test_bytes_that_are_no_utf8_are_smuggled_and_counted(monkeypatch, piece):
    monkeypatch.setattr(json_stream, "PIECE", piece)
    data = b'\xef\xbb\xbf["caf\xe9", "\xe7\x8c\xab", 3]'
    found = list(iterate_list(JsonReader(io.BytesIO(data), "x.json")))
    assert [item for *_, item in found] == ["caf\udce9", "猫", 3]
    assert [data[offset:].split(b",")[0] for offset, *_ in found] == [b'"caf\xe9"', b' "\xe7\x8c\xab"'.strip(), b"3]"]


@pytest.mark.parametrize("piece", [1, 4, 1 << 22])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1,\n 2 3]}', r"x\.json:2: no JSON \(wants ',' or '\]', found '3'\)"),
        ('{"a": [1,\n {"b" 2}]}', r"x\.json:2: no JSON \(Expecting ':' delimiter\)"),
        ('{"a": [1,\n\n "b]}', r"x\.json:3: no JSON \(Unterminated string"),
        ('{"a": [1', r"x\.json:1: no JSON .*found the end of the file"),
        ('{"a" [1]}', r"x\.json:1: no JSON \(wants ':', found '\['\)"),
        ('{"a": [1]} x', r"x\.json:1: no JSON \('x' after the object's end\)"),
        ("[1]", r"x\.json:1: no JSON \(wants '\{', found '\['\)"),
        ("", r"x\.json:1: no JSON \(wants '\{', found the end of the file\)"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(monkeypatch, tmp_path, piece, text, message):
    monkeypatch.setattr(json_stream, "PIECE", piece)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RecipeError, match=message):
        list(iterate_lists(str(tmp_path / "x.json")))


def test_a_nesting_too_deep_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"a": ' + "[" * 200_000)
    with pytest.raises(RecipeError, match=r"x\.json:1: no JSON"):
        list(iterate_lists(str(tmp_path / "x.json")))


def test_the_lists_of_an_object_are_named_and_placed(tmp_path):
    (tmp_path / "x.json").write_text('{"info": {"images": [0]}, "images": [1,\n2], "n": 3, "empty": [], "annotations": [{"a": [4]}]}')
    path = str(tmp_path / "x.json")
    assert list(iterate_lists(path)) == [
        ("images", f"{path}:1: images[0]", 1),
        ("images", f"{path}:2: images[1]", 2),
        ("annotations", f"{path}:2: annotations[0]", {"a": [4]}),
    ]
    (tmp_path / "x.json").write_text("{}")
    assert list(iterate_lists(path)) == []
    with pytest.raises(ShardError, match="gone"):
        list(iterate_lists(str(tmp_path / "gone.json")))


@pytest.mark.parametrize("lines", [False, True])
def test_items_are_read_from_their_places_as_they_are_one_after_the_other(tmp_path, lines):
    items = [{"n": n, "text": "猫" * (n % 5)} for n in range(50)]
    if lines:
        text = "\ufeff" + "\n\n".join(json.dumps(item, ensure_ascii=False) for item in items[:30]) + "\n{broken\n"
        text += "\n".join(json.dumps(item) for item in items[30:])
    else:
        text = "\ufeff" + json.dumps(items, indent=1, ensure_ascii=False)
    (tmp_path / "x.json").write_text(text)
    path = str(tmp_path / "x.json")
    places = find_items(path)
    if lines:
        numbered = [(number, line) for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1) if line]
        wanted = [(f"{path}:{number}", None if line == "{broken" else json.loads(line)) for number, line in numbered]
    else:
        wanted = [(f"{path}:{2 + 4 * number}", item) for number, item in enumerate(items)]
    assert len(places) == len(wanted) == 50 + lines
    for start, stop in ((0, len(places)), (0, 1), (17, 33), (len(places) - 1, len(places)), (5, 5)):
        read = [(where, None if isinstance(item, ValueError) else item) for where, item in read_items(path, places, start, stop)]
        assert read == wanted[start:stop]


def test_a_long_list_is_never_held_whole(tmp_path):
    with open(tmp_path / "x.json", "w") as file:
        file.write("[" + ",\n".join(json.dumps({"text": "x" * 1000, "n": n}) for n in range(40_000)) + "]")  # 40 MB
    tracemalloc.start()
    places = find_items(str(tmp_path / "x.json"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(places) == 40_000
    assert peak < 25_000_000
