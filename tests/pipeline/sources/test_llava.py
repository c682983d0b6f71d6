"""LLaVA's instruction data, as it is published: pictures stand where their tokens do, and what LLaVA's loader takes is taken."""

import json
import re
from copy import deepcopy

import pytest

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, ImageRef, Sample, Turn
from pipeline.sources.llava import Llava

BUS = "coco/train2017/000000033471.jpg"
PUBLISHED = [  # two items about one picture, as llava_v1_5_mix665k.json has them, and one from ShareGPT
    {
        "id": "000000033471",
        "image": BUS,
        "conversations": [
            {"from": "human", "value": "<image>\nWhat are the colors of the bus in the image?"},
            {"from": "gpt", "value": "The bus in the image is white and red."},
            {"from": "human", "value": "Is the bus driving down the street or pulled off to the side?"},
            {"from": "gpt", "value": "The bus is driving down the street."},
        ],
    },
    {
        "id": "000000033471",
        "image": BUS,
        "conversations": [{"from": "human", "value": "Describe it.\n<image>"}, {"from": "gpt", "value": "A bus. "}],
    },
    {
        "id": "wgByO4Y_0",
        "model": "",
        "conversations": [{"from": "human", "value": "How does <image> work in SVG?"}, {"from": "gpt", "value": "<image href='a'/>"}],
    },
]


def item(*values, image=BUS, **others):
    turns = [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)]
    return {"id": "7", "conversations": turns, **({"image": image} if image else {}), **others}


def write(tmp_path, items, name="llava_v1_5_mix665k.json"):
    for picture in (BUS, "a.jpg", "b.jpg"):
        (tmp_path / picture).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / picture).write_bytes(picture.encode())
    (tmp_path / name).write_text(json.dumps(items, indent=2))
    return str(tmp_path / name)


def read(source, unit_size=100):
    units = source.plan(unit_size)
    source = deepcopy(source)  # as it travels to a worker
    return [sample for unit in units for sample in source.read(unit)]


def contents(sample):
    return [turn.content for turn in sample.turns]


def test_the_published_form_is_read_to_the_letter(tmp_path):
    picture = {"image": BUS.encode()}
    assert read(Llava(write(tmp_path, PUBLISHED))) == [
        Sample(
            "llava_v1_5_mix665k/0",
            images=picture,
            turns=(
                Turn("user", (ImageRef("image"), "\nWhat are the colors of the bus in the image?")),
                Turn("assistant", ("The bus in the image is white and red.",)),
                Turn("user", ("Is the bus driving down the street or pulled off to the side?",)),
                Turn("assistant", ("The bus is driving down the street.",)),
            ),
            metadata={"id": "000000033471"},
        ),
        Sample(
            "llava_v1_5_mix665k/1",
            images=picture,
            turns=(Turn("user", ("Describe it.\n", ImageRef("image"))), Turn("assistant", ("A bus. ",))),
            metadata={"id": "000000033471"},
        ),
        Sample(
            "llava_v1_5_mix665k/2",
            turns=(Turn("user", ("How does <image> work in SVG?",)), Turn("assistant", ("<image href='a'/>",))),
            metadata={"id": "wgByO4Y_0", "model": ""},
        ),
    ]


@pytest.mark.parametrize("unit_size", [1, 2, 3])
def test_units_lose_nothing_and_keys_stay(tmp_path, unit_size):
    write(tmp_path, PUBLISHED, name="a.json")
    write(tmp_path, PUBLISHED[1:], name="b.json")
    samples = read(Llava(str(tmp_path)), unit_size)
    assert samples == read(Llava(str(tmp_path)))
    assert [sample.key for sample in samples] == ["a/0", "a/1", "a/2", "b/0", "b/1"]
    assert [sample.key for sample in read(Llava(str(tmp_path / "b.json")), unit_size)] == ["b/0", "b/1"]


@pytest.mark.parametrize(
    ("value", "kept", "taken"),
    [
        ("<image>\nQ\n", (ImageRef("image"), "\nQ\n"), (ImageRef("image"), "Q\n")),
        ("Q\n<image>", ("Q\n", ImageRef("image")), ("Q", ImageRef("image"))),
        ("A\n\n<image>\n\nB", ("A\n\n", ImageRef("image"), "\n\nB"), ("A\n", ImageRef("image"), "\nB")),
        ("Look: <image> Q", ("Look: ", ImageRef("image"), " Q"), ("Look: ", ImageRef("image"), " Q")),
        ("Q", (ImageRef("image"), "\nQ"), (ImageRef("image"), "Q")),
    ],
)
def test_the_line_break_beside_a_picture_is_kept_or_taken_away(tmp_path, value, kept, taken):
    path = write(tmp_path, [item(value, "A\n")])
    for source, first in ((Llava(path), kept), (Llava(path, keep_newlines=False), taken)):
        [sample] = read(source)
        assert contents(sample) == [first, ("A\n",)]


@pytest.mark.parametrize("field", ["image", "images"])
def test_several_pictures_are_numbered_as_they_are_named(tmp_path, field):
    pictures = {"image": None, field: ["a.jpg", "b.jpg", BUS]}
    path = write(tmp_path, [item("<image>\n<image>\nCompare.", "So.", "And <image>?", "No.", **pictures)])
    [sample] = read(Llava(path))
    assert sample.images == {"image_1": b"a.jpg", "image_2": b"b.jpg", "image_3": BUS.encode()}
    one, two, three = (ImageRef(f"image_{n}") for n in (1, 2, 3))
    assert contents(sample) == [(one, "\n", two, "\nCompare."), ("So.",), ("And ", three, "?"), ("No.",)]
    [sample] = read(Llava(path, keep_newlines=False))
    assert contents(sample)[0] == (one, two, "Compare.")


def test_without_pictures_the_token_and_its_line_break_are_text(tmp_path):
    path = write(tmp_path, [item("<image>\nis a tag", "A\n<image>", image=None)])
    for keep_newlines in (True, False):
        [sample] = read(Llava(path, keep_newlines=keep_newlines))
        assert contents(sample) == [("<image>\nis a tag",), ("A\n<image>",)]


def test_another_token_may_stand_for_a_picture(tmp_path):
    path = write(tmp_path, [item("(img.)\nWhat is <image>?", "A tag.")])
    [sample] = read(Llava(path, image_token="(img.)"))
    assert contents(sample)[0] == (ImageRef("image"), "\nWhat is <image>?")
    [sample] = read(Llava(path, image_token="(img.)", keep_newlines=False))
    assert contents(sample)[0] == (ImageRef("image"), "What is <image>?")
    with pytest.raises(ValueError, match="image_token is empty"):
        Llava(path, image_token="")


def test_a_system_prompt_stands_before_the_first_question_or_is_left_out(tmp_path):
    turns = [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "<image>\nQ"}, {"from": "gpt", "value": "A"}]
    path = write(tmp_path, [item(conversations=turns)])
    assert contents(read(Llava(path))[0]) == [("Be kind.\n\n", ImageRef("image"), "\nQ"), ("A",)]
    assert contents(read(Llava(path, system="drop"))[0]) == [(ImageRef("image"), "\nQ"), ("A",)]


@pytest.mark.parametrize("system", [[], [{"from": "system", "value": "S"}]])
def test_an_answer_whose_question_is_lost_is_left_out(tmp_path, system):
    turns = [*system, *({"from": ("gpt", "human")[i % 2], "value": value} for i, value in enumerate("abc"))]
    [sample] = read(Llava(write(tmp_path, [item(conversations=turns, image=None)]), system="drop"))
    assert sample.turns == (Turn("user", ("b",)), Turn("assistant", ("c",)))


def test_pictures_lie_beside_the_file_or_below_a_root(tmp_path):
    (tmp_path / "json").mkdir()
    write(tmp_path, [])
    (tmp_path / "json" / "x.json").write_text(json.dumps(PUBLISHED[:1]))
    [bad] = read(Llava(str(tmp_path / "json" / "x.json")))
    assert (bad.key, bad.reason) == ("x/0", "missing_image")
    [sample] = read(Llava(str(tmp_path / "json" / "x.json"), image_root=str(tmp_path)))
    assert sample.images == {"image": BUS.encode()}


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        (item("<image>\nQ", "A", image="gone.jpg"), "missing_image", "gone.jpg: FileNotFoundError"),
        (item("<image><image>\nQ", "A"), "image_count", "name 2 pictures, the item has 1"),
        (item("<image>\nQ", "A", image=["a.jpg", "b.jpg"]), "image_count", "name 1 pictures, the item has 2"),
        (item("<image>\nQ", "A", image=7), "bad_field", "image is neither"),
        (item("<image>\nQ", "A", image=None, images={"a": 1}), "bad_field", "images is neither"),
        (item("<video>\nQ", "A", image=None, video="a.mp4"), "has_video", r"a\.mp4"),
        (item("Q", 7), "bad_field", r"conversations\[1\] has no text"),
        ({"id": "7", "image": BUS}, "bad_field", "conversations is no list of turns but None"),
        (["Q", "A"], "bad_field", "wants an object"),
        (item(), "bad_turns", "empty"),
        (item(conversations=[{"from": "system", "value": "S"}]), "bad_turns", "empty"),
        (item(conversations=[{"from": "human", "value": "Q"}, {"from": "system", "value": "S"}]), "bad_turns", r"\[1\] is from 'system'"),
        (item(conversations=[{"from": "human", "value": "Q"}] * 2), "bad_turns", r"\[1\] is from 'human' where gpt is due"),
        (item(conversations=[{"from": None, "value": "Q"}]), "bad_turns", "from None"),
        (item("\ud83d", "A"), "text_not_utf8", r"\\ud83d"),
    ],
)
def test_a_bad_item_fails_alone_and_is_named_with_its_line(tmp_path, bad, reason, message):
    path = write(tmp_path, [item("Q", "A"), bad, item("Q", "A")])
    line = next(
        n
        for n, text in enumerate((tmp_path / "llava_v1_5_mix665k.json").read_text().split("\n"), 1)
        if n > 2 and text[:3] in ("  {", "  [")
    )
    good, failed, last = read(Llava(path))
    assert isinstance(failed, BadSample) and (failed.key, failed.reason) == ("llava_v1_5_mix665k/1", reason)
    assert re.search(message, failed.message)
    assert failed.message.startswith(f"{path}:{line}: ")
    assert isinstance(good, Sample) and isinstance(last, Sample)


def test_json_lines_are_read_too_and_a_broken_line_fails_alone(tmp_path):
    lines = [json.dumps(item("Q", "A", image=None)), "{broken", json.dumps(item("Q", "B", image=None))]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    good, bad, last = read(Llava(str(tmp_path / "x.jsonl")))
    assert (good.key, bad.key, bad.reason, last.key) == ("x/0", "x/1", "bad_json", "x/2")
    assert "x.jsonl:2: " in bad.message


def test_a_file_that_is_gone_or_empty_is_said(tmp_path):
    path = write(tmp_path, PUBLISHED)
    source = Llava(path)
    [unit] = source.plan(10)
    assert source.fingerprint() == {path: f"{(tmp_path / 'llava_v1_5_mix665k.json').stat().st_size} bytes"}
    (tmp_path / "llava_v1_5_mix665k.json").unlink()
    with pytest.raises(ShardError, match="mix665k"):
        list(source.read(unit))
    with pytest.raises(RecipeError, match="no such file"):
        Llava(path).plan(10)
    with pytest.raises(RecipeError, match="no item in 1 files"):
        Llava(write(tmp_path, [])).plan(10)
