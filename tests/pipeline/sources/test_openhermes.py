"""OpenHermes 2.5: text dialogues, and what becomes of their system prompts."""

import json
import pickle
import re

import pytest

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Sample, Turn
from pipeline.sources import SOURCES
from pipeline.sources.openhermes import OpenHermes
from pipeline.sources.unit import Unit

EMPTY = dict.fromkeys(
    ("custom_instruction", "topic", "model_name", "model", "views", "language", "id", "title", "idx", "hash", "avatarUrl")
)


def item(*turns, **others):
    speakers = {"s": "system", "h": "human", "g": "gpt"}
    said = [{"from": speakers[turn[0]], "value": turn[2:], "weight": None} for turn in turns]
    return {
        **EMPTY,
        "system_prompt": None,
        "skip_prompt_formatting": False,
        "category": "orca",
        "conversations": said,
        "source": "a",
        **others,
    }


def read(source, unit_size=100):
    return [sample for unit in source.plan(unit_size) for sample in source.read(unit)]


def read_items(tmp_path, *items, lines=False, **options):
    path = tmp_path / ("x.jsonl" if lines else "openhermes2_5.json")
    path.write_text("\n".join(map(json.dumps, items)) if lines else json.dumps(items, indent=2))
    return read(OpenHermes(str(path), **options))


def said(sample):
    return [(turn.role, *turn.content) for turn in sample.turns]


@pytest.mark.parametrize("lines", [False, True])
def test_an_item_is_a_dialogue_and_its_filled_fields_are_metadata(tmp_path, lines):
    [sample] = read_items(tmp_path, item("h:Which?\nA. x", "g: A ", "h:Why?", "g:So.", id="q_1", views=7, hash=[1, 2]), lines=lines)
    assert sample == Sample(
        "0",
        turns=(Turn("user", ("Which?\nA. x",)), Turn("assistant", (" A ",)), Turn("user", ("Why?",)), Turn("assistant", ("So.",))),
        metadata={"skip_prompt_formatting": False, "category": "orca", "source": "a", "id": "q_1", "views": 7},
    )


@pytest.mark.parametrize(
    ("system", "turns", "wanted"),
    [
        ("prepend", ("s:Be brief.", "h:Hi", "g:Ho"), [("user", "Be brief.\n\nHi"), ("assistant", "Ho")]),
        ("drop", ("s:Be brief.", "h:Hi", "g:Ho"), [("user", "Hi"), ("assistant", "Ho")]),
        (
            "prepend",
            ("s:You are Donovan.", "g:Ah!", "h:Hi", "g:Ho"),
            [("user", "You are Donovan."), ("assistant", "Ah!"), ("user", "Hi"), ("assistant", "Ho")],
        ),
        ("prepend", ("s: \n", "h:Hi", "g:Ho"), [("user", "Hi"), ("assistant", "Ho")]),
    ],
)
def test_a_system_prompt_goes_where_the_option_says(tmp_path, system, turns, wanted):
    samples = read_items(tmp_path, item(*turns), item("h:a", "g:b"), system=system)
    assert samples[-1].key == "1"
    assert [said(sample) for sample in samples[:-1]] == ([] if wanted is None else [wanted])


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        (item("s:Be brief.", "g:Ho"), "bad_turns", r"conversations\[1\] is from 'gpt' where human is due"),
        (item("h:a", "h:b"), "bad_turns", r"conversations\[1\] is from 'human' where gpt is due"),
        (item("h:a", "s:b"), "bad_turns", r"conversations\[1\] is from 'system'"),
        (item("s:b"), "bad_turns", "empty"),
        (item(), "bad_turns", "empty"),
        (item("s:"), "bad_turns", "empty"),
        ({"conversations": [{"from": "tool", "value": "a"}]}, "bad_turns", r"conversations\[0\] is from 'tool'"),
        ({"conversations": [{"from": "human", "value": None}]}, "bad_field", r"conversations\[0\] has no text in 'value'"),
        ({"conversation": []}, "bad_field", "conversations is no list of turns but None"),
        ("a", "bad_field", "wants an object"),
        ({"conversations": [{"from": "human", "value": "\ud83d"}]}, "text_not_utf8", r"\\ud83d"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_bad_item_fails_alone_and_is_named(tmp_path, bad, reason, message, lines):
    first, second, third = read_items(tmp_path, item("h:a", "g:b"), bad, item("h:a", "g:b"), lines=lines, system="drop")
    assert isinstance(second, BadSample) and (second.key, second.reason) == ("1", reason)
    assert re.search(message, second.message)
    assert re.match(r".*/x\.jsonl:2: " if lines else r".*/openhermes2_5\.json:\d\d: ", second.message)
    second.message.encode()
    assert (first.key, third.key) == ("0", "2")


def test_a_line_that_does_not_parse_fails_alone(tmp_path):
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(item('h:a', 'g:b'))}\n{{broken\n{json.dumps(item('h:c', 'g:d'))}\n")
    good, bad, last = read(OpenHermes(str(tmp_path / "x.jsonl")))
    assert (good.key, bad.reason, last.key) == ("0", "bad_json", "2")
    assert "x.jsonl:2: " in bad.message


def test_every_unit_size_gives_the_same_samples_also_after_a_journey(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(
            json.dumps([item(f"h:{name}{n}", "g:猫" if n % 3 else "g:b") for n in range(20)], ensure_ascii=False)
        )
    source = OpenHermes(str(tmp_path))
    wanted = read(source)
    assert [sample.key for sample in wanted] == [str(n) for n in range(40)]
    assert [said(sample)[0][1] for sample in wanted[18:22]] == ["a18", "a19", "b0", "b1"]
    assert source.plan(15) == [
        Unit(0, str(tmp_path / "a.json"), 0, 15),
        Unit(1, str(tmp_path / "a.json"), 15, 20),
        Unit(2, str(tmp_path / "b.json"), 0, 15),
        Unit(3, str(tmp_path / "b.json"), 15, 20),
    ]
    sent = pickle.loads(pickle.dumps(source))
    assert [sample for unit in source.plan(7) for sample in sent.read(unit)] == wanted
    assert len(source.fingerprint()) == 2


def test_what_is_not_there_or_empty_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(RecipeError, match="no item in 1 files"):
        SOURCES["openhermes"](str(tmp_path / "x.json")).plan(10)
    with pytest.raises(RecipeError, match="no such file"):
        OpenHermes(str(tmp_path / "y.json")).plan(10)


def test_a_file_that_goes_away_is_a_failed_unit(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([item("h:a", "g:b")]))
    source = OpenHermes(str(tmp_path / "x.json"))
    [unit] = source.plan(10)
    (tmp_path / "x.json").unlink()
    with pytest.raises(ShardError, match=r"x\.json"):
        list(source.read(unit))
