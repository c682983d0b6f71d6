"""Prompts in every form in which they are written down, and what is none."""

import json

import pytest

from jobs.sampling.prompts import SETTINGS, plain_prompts, read_conversations, read_prompts
from pipeline.errors import RecipeError
from pipeline.samples import ImageRef, Turn


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_text_file_has_a_prompt_a_line(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeffa red circle\n\n  ein grüner Würfel \n")
    assert [(prompt.text, prompt.where) for prompt in read_prompts(path)] == [
        ("a red circle", f"{path}:1"),
        ("  ein grüner Würfel ", f"{path}:3"),
    ]


@pytest.mark.parametrize("form", ["list", "lines"])
def test_items_bring_settings_names_and_whatever_else(tmp_path, form):
    items = [{"prompt": "a", "seed": 3, "guidance": 2, "id": 7, "Category": "x", "list": [1]}, {"caption": "b", "size": "64x32", "num": 2}]
    text = json.dumps(items) if form == "list" else "\n".join(map(json.dumps, items))
    first, second = read_prompts(write(tmp_path / ("a.json" if form == "list" else "a.jsonl"), text))
    assert (first.text, first.settings, first.key, first.metadata) == ("a", {"seed": 3, "guidance": 2}, "7", {"Category": "x"})
    assert (second.text, second.settings, second.key) == ("b", {"size": "64x32", "num": 2}, "")


def test_a_dialogue_s_pictures_stand_where_they_are_named_or_in_front(tmp_path):
    said = [{"from": "human", "value": "Look: <|image|>"}, {"from": "gpt", "value": "Yes."}, {"from": "human", "value": "Add a hat."}]
    items = [{"conversations": said, "image": "a.png", "task": "editing"}, {"conversations": said[2:], "image": ["b.png"]}]
    named, unnamed = read_conversations(write(tmp_path / "a.json", json.dumps(items)))
    assert named.turns == (Turn("user", ("Look: ", ImageRef("image"))), Turn("assistant", ("Yes.",)), Turn("user", ("Add a hat.",)))
    assert named.pictures == {"image": (str(tmp_path), "a.png")} and named.text == "Add a hat." and named.task == "editing"
    assert unnamed.turns == (Turn("user", (ImageRef("image"), " Add a hat.")),)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"prompt": " "}, "neither prompt"),
        ({"text": "a"}, "neither prompt"),
        (["a"], "wants an object"),
        ({"prompt": "a", "seed": "3"}, "seed is '3'"),
        ({"prompt": "a", "num": True}, "num is True"),
        ({"prompt": "a", "guidance": "4"}, "guidance is '4'"),
        ({"prompt": "a", "task": 3}, "task is 3"),
        ({"prompt": "a", "image": "a.png"}, "write 'conversations'"),
        ({"conversations": []}, "conversations is empty"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, "the last turn is the model's"),
        ({"conversations": [{"from": "human", "value": "<|image|>"}]}, "the turns name 1 pictures, the item has 0"),
    ],
)
def test_what_is_no_prompt_is_named_with_its_place(tmp_path, item, message):
    path = write(tmp_path / "a.jsonl", json.dumps({"prompt": "fine"}) + "\n" + json.dumps(item))
    with pytest.raises(RecipeError) as error:
        read_prompts(path)
    assert str(error.value).startswith(f"{path}:2: ") and message in str(error.value)


def test_files_without_prompts_are_refused(tmp_path):
    for path, message in {
        write(tmp_path / "a.txt", "\n"): "no prompt in it",
        write(tmp_path / "a.md", "a"): "prompts stand in",
        write(tmp_path / "a.jsonl", "{"): "neither a JSON list nor JSON lines",
        str(tmp_path / "none.jsonl"): "none.jsonl",
    }.items():
        with pytest.raises(RecipeError, match=message):
            read_prompts(path)
    with pytest.raises(RecipeError, match="no 'conversations'"):
        read_conversations(write(tmp_path / "b.json", '[{"prompt": "a"}]'))
    with pytest.raises(RecipeError, match=r"sample.prompts\[1\]: an empty prompt"):
        plain_prompts(["a", " "], "sample.prompts")


def test_the_page_on_sampling_names_every_setting():
    from tests.jobs.recipes import ROOT

    text = (ROOT / "docs" / "sampling.md").read_text()
    assert [name for name in SETTINGS if f"`{name}`" not in text] == []
