"""A small planted set: the filters that need no weights find what is planted, and lose next to nothing that is good."""

import json
import sys
from dataclasses import asdict

import pytest

from benchmarks.planted import GOOD, SHARES, main, plant, read_photographs
from benchmarks.planted_captions import BLOCKED_WORDS
from benchmarks.planted_report import NEEDS, decide, lost, print_report, recalls

WEIGHTLESS = [label for label in SHARES if label not in NEEDS]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """120 samples from the half of the photographs that is for reporting, and their fates."""
    folder = tmp_path_factory.mktemp("planted")
    truth = [asdict(item) for item in plant(folder, read_photographs([], "report"), 120, num_shards=3, seed=5)]
    return folder, truth, decide(str(folder), "", BLOCKED_WORDS)


@pytest.mark.parametrize("label", WEIGHTLESS)
def test_what_is_planted_is_found(planted, label):
    _, truth, fates = planted
    assert recalls(fates, truth)[label] >= 0.95


def test_at_most_one_good_sample_is_lost(planted):
    _, truth, fates = planted
    assert sum(item["label"] == GOOD for item in truth) >= 35
    assert len(lost(fates, truth)) <= 1


def test_every_sample_has_a_truth_and_a_fate_and_copies_lie_in_other_shards(planted):
    folder, truth, fates = planted
    assert [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()] == truth
    assert {item["key"] for item in truth} == fates.keys() and len(truth) == 120
    pairs = [(item["key"], item["of"]) for item in truth if item["of"]]
    assert len(pairs) >= 8 and all(key[:5] != of[:5] for key, of in pairs)


def test_the_same_seed_plants_the_same_bytes(planted, tmp_path):
    folder, _, _ = planted
    plant(tmp_path, read_photographs([], "report"), 120, num_shards=3, seed=5)
    assert (tmp_path / "shards" / "00001.tar").read_bytes() == (folder / "shards" / "00001.tar").read_bytes()


def test_the_report_is_a_table(planted, capsys):
    _, truth, fates = planted
    print_report(fates, truth)
    out = capsys.readouterr().out
    assert "| blank | 5 | 1.000 | flat_picture 5 |" in out and "Good samples lost: " in out and "| duplicate | " in out


def test_the_filters_of_a_recipe_can_be_asked(monkeypatch, capsys, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('output = "elsewhere"\n[[filter]]\nkind = "flat_picture"\n')
    arguments = ["--count", "40", "--half", "report", "--shards", "2", "--output", str(tmp_path / "set"), "--recipe", str(recipe)]
    monkeypatch.setattr(sys, "argv", ["planted", *arguments])
    assert main() == 0
    out = capsys.readouterr().out
    assert "| blank | 2 | 1.000 | flat_picture 2 |" in out and "| bordered | 2 | 0.000 |" in out
    assert not (tmp_path / "elsewhere").exists()
