"""Dialogues: pictures stand where they are named, texts keep their spaces, and bad items fail alone."""

import json
import re
from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from pipeline.samples import BadSample, ImageRef, Sample, Turn
from pipeline.sources.conversations import Conversations

GOLDEN = Path(__file__).parents[2] / "golden"


def item(*values, **others):
    return {"conversations": [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)], **others}


def read(source, unit_size=100):
    return [sample for unit in source.plan(unit_size) for sample in source.read(unit)]


def read_items(tmp_path, *items, lines=False):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    path = tmp_path / ("x.jsonl" if lines else "x.json")
    path.write_text("\n".join(map(json.dumps, items)) if lines else json.dumps(items))
    return read(Conversations(str(path)))


@pytest.mark.parametrize("lines", [False, True])
def test_pictures_stand_where_they_are_named(tmp_path, lines):
    [sample] = read_items(
        tmp_path, item("Take <|image|> and  <|image|>.", "<|image|>", "Thanks.\n", image=["a.png", "b.png", "c.png"], by="me"), lines=lines
    )
    assert sample == Sample(
        "0",
        images={"image_1": b"a", "image_2": b"b", "image_3": b"c"},
        turns=(
            Turn("user", ("Take ", ImageRef("image_1"), " and  ", ImageRef("image_2"), ".")),
            Turn("assistant", (ImageRef("image_3"),)),
            Turn("user", ("Thanks.\n",)),
        ),
        metadata={"by": "me"},
    )


@pytest.mark.parametrize("image", ["a.png", ["a.png"]])
def test_a_single_picture_has_the_plain_role(tmp_path, image):
    [sample] = read_items(tmp_path, item("Depth estimation. <|image|>", "A box.", image=image))
    assert sample.images == {"image": b"a"}
    assert sample.turns[0].content == ("Depth estimation. ", ImageRef("image"))


def test_pictures_that_no_turn_names_stand_in_front(tmp_path):
    one, two = read_items(tmp_path, item("What is this?", "A box.", image="a.png"), item("And?", "No.", image=["a.png", "b.png"]))
    assert one.turns[0].content == (ImageRef("image"), " What is this?")
    assert two.turns[0].content == (ImageRef("image_1"), " ", ImageRef("image_2"), " And?")


@pytest.mark.parametrize("image", [{}, {"image": []}, {"image": None}, {"image": ""}])
def test_items_without_pictures_are_text(tmp_path, image):
    [sample] = read_items(tmp_path, item("Hi", "Ho", **image))
    assert sample == Sample("0", turns=(Turn("user", ("Hi",)), Turn("assistant", ("Ho",))))


def test_the_key_is_the_id_or_the_number(tmp_path):
    samples = read_items(tmp_path, item("a", "b", id="x.y"), item("a", "b"), item("a", "b", id=70), item("a", "b", id=""))
    assert [s.key for s in samples] == ["x_y", "1", "70", "3"]


def test_numbers_go_on_over_files(tmp_path):
    for name in "xy":
        (tmp_path / f"{name}.json").write_text(json.dumps([item(name, "b"), item(name, "c")]))
    source = Conversations(str(tmp_path))
    assert [(s.key, s.turns[0].content[0]) for s in read(source)] == [("0", "x"), ("1", "x"), ("2", "y"), ("3", "y")]
    assert read(source, 1) == read(source)
    assert len(source.fingerprint()) == 2


def test_pictures_are_looked_for_beside_the_file_or_below_a_root(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "p.png").write_bytes(b"p")
    items = [item("a", "b", image="p.png"), item("a", "b", image=str(tmp_path / "pictures" / "p.png"))]
    (tmp_path / "x.json").write_text(json.dumps(items))
    assert [type(s) for s in read(Conversations(str(tmp_path / "x.json")))] == [BadSample, Sample]
    assert [type(s) for s in read(Conversations(str(tmp_path / "x.json"), image_root=str(tmp_path / "pictures")))] == [Sample, Sample]


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        (item("<|image|>", "b"), "image_count", "name 1 pictures, the item has 0"),
        (item("<|image|><|image|>", "b", image="a.png"), "image_count", "name 2 pictures, the item has 1"),
        (item("<|image|>", "b", image=["a.png", "b.png"]), "image_count", "name 1 pictures, the item has 2"),
        (item("a", "b", image="gone.png"), "missing_image", "gone.png"),
        (item("a", "b", image="."), "missing_image", "IsADirectoryError"),
        (item("a", "b", image=7), "bad_field", "image is neither"),
        (item("a", "b", image=["a.png", 7]), "bad_field", "image is neither"),
        (item("a", "b", id=[7]), "bad_field", "id is neither"),
        (item("a", 7), "bad_field", r"conversations\[1\]"),
        ({"conversations": "a"}, "bad_field", "conversations is no list"),
        ({"image": "a.png"}, "bad_field", "conversations is no list"),
        ("a", "bad_field", "wants an object"),
        ({"conversations": []}, "bad_turns", "empty"),
        ({"conversations": [{"from": "gpt", "value": "a"}]}, "bad_turns", "'gpt' where human is due"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "a"}]}, "bad_turns", "'human' where gpt is due"),
        ({"conversations": [{"from": "system", "value": "a"}]}, "bad_turns", "'system'"),
        ({"conversations": [{"value": "a"}]}, "bad_turns", "None"),
        (item("\ud83d", "b"), "text_not_utf8", r"\\ud83d"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_bad_item_fails_alone_and_is_named(tmp_path, bad, reason, message, lines):
    first, second, third = read_items(tmp_path, item("a", "b"), bad, item("a", "b"), lines=lines)
    assert (second.key, second.reason) == ("1", reason)
    assert re.search(message, second.message)
    assert f"x.json{'l:2' if lines else ':1'}: " in second.message
    assert (first.key, third.key) == ("0", "2")


def test_speakers_have_two_names_each(tmp_path):
    [sample] = read_items(tmp_path, {"conversations": [{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}]})
    assert [turn.role for turn in sample.turns] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"conversations": []},\n{"conv', r"x\.json:3: no JSON"),
        ("[1\n 2]", r"x\.json:2: no JSON \(wants ',' or '\]', found '2'\)"),
        ("[1, 2", r"x\.json:1: no JSON .*the end of the file"),
        ("[1] x", r"x\.json:1: no JSON .*after the list's end"),
        ("hello", r"x\.json:1: neither a JSON list nor JSON lines"),
        ("[]", "no item in 1 files"),
        ("", "no item in 1 files"),
    ],
)
def test_a_file_that_does_not_parse_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RecipeError, match=message):
        Conversations(str(tmp_path / "x.json")).plan(10)


def test_a_line_that_does_not_parse_fails_alone(tmp_path):
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(item('a', 'b'))}\n\n{{broken\n{json.dumps(item('c', 'd'))}\n")
    good, bad, last = read(Conversations(str(tmp_path / "x.jsonl")))
    assert (good.key, bad.key, bad.reason, last.key) == ("0", "1", "bad_json", "2")
    assert "x.jsonl:3" in bad.message


@pytest.mark.parametrize("lines", [False, True])
def test_bytes_that_are_not_utf8_fail_their_item_alone(tmp_path, lines):
    pieces = [json.dumps(item("a", "b")).encode(), json.dumps(item("caf#", "b", id="i#")).encode().replace(b"#", b"\xe9")]
    path = tmp_path / "x.json"
    path.write_bytes(b"\n".join(pieces) if lines else b"\xef\xbb\xbf [" + b",".join(pieces) + b"]")
    good, bad = read(Conversations(str(path)))
    assert (good.key, bad.key, bad.reason) == ("0", "i\\xe9", "text_not_utf8")
    bad.message.encode()


def test_the_golden_conversations_are_read_as_they_stand(tmp_path):
    golden = json.loads((GOLDEN / "expected.json").read_text())["conversations"]
    items = [{"conversations": c["conversations"], "image": c["images"], "id": c["name"]} for c in golden]
    (tmp_path / "x.json").write_text(json.dumps(items))
    samples = read(Conversations(str(tmp_path / "x.json"), image_root=str(GOLDEN)))
    for sample, one in zip(samples, golden, strict=True):
        assert sample.key == one["name"]
        said = ["".join("<|image|>" if isinstance(piece, ImageRef) else piece for piece in turn.content) for turn in sample.turns]
        named = any("<|image|>" in turn["value"] for turn in one["conversations"])
        prefix = "" if named else "<|image|> " * len(one["images"])
        assert "\0".join(said) == prefix + "\0".join(turn["value"] for turn in one["conversations"])
        shown = [piece.name for turn in sample.turns for piece in turn.content if isinstance(piece, ImageRef)]
        assert [sample.images[name] for name in shown] == [(GOLDEN / name).read_bytes() for name in one["images"]]
