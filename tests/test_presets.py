"""The presets run as they stand, and with weights once their marks are taken away; in every example's run the funnel adds up."""

import re
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from pipeline.ledger import DISPOSITIONS
from pipeline.shards.manifest import load_manifest
from tests.filters.clip_models import write_aesthetic, write_clip, write_linear

ROOT = Path(__file__).parents[1]
PRESETS = sorted(ROOT.glob("examples/presets/*.toml"))
RECIPES = [ROOT / "examples" / "photos.toml", *PRESETS]
MARK = "#: "


def run(path, folder, *settings):
    command = ["prepare", str(path)]
    for setting in (f"output={folder}/out", "tokens.target_size=256", f"source.path={ROOT}/examples/photos", *settings):
        command += ["--set", setting]
    return main(command), folder / "out"


def check_funnel(output, capsys):
    """What is printed, the manifest and the ledger tell the same, and it sums up."""
    counts = load_manifest(str(output / "tokens")).counts
    rows = pq.read_table(output / "ledger", columns=["disposition", "stage", "reason"]).to_pylist()
    assert counts["input"] == len(rows) == sum(counts[name] for name in DISPOSITIONS)
    said = capsys.readouterr().out
    lines = re.findall(r"^ +(\d+) (rejected|failed) by (\w+): (\w+)$", said, re.MULTILINE)
    assert sum(int(line[0]) for line in lines) == counts["rejected"] + counts["failed"]
    assert main(["inspect", "verify", str(output)]) == 0
    return counts


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_funnel_adds_up(path, tmp_path, capsys):
    code, output = run(path, tmp_path)
    assert code == 0
    counts = check_funnel(output, capsys)
    assert counts["accepted"] > 0.75 * counts["input"] == 0.75 * 47  # the photographs are good ones, if small


def test_the_demo_s_funnel_adds_up(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    settings = ["source.1.count=60", "run.executor=inprocess", "tokens.target_size=64", "tokens.smaller_targets=[32]"]
    command = ["prepare", "examples/demo.toml", "--set", f"output={tmp_path}/out"]
    assert main([*command, *(word for setting in settings for word in ("--set", setting))]) == 0
    assert check_funnel(tmp_path / "out", capsys)["input"] == 107


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_what_wants_weights_is_off_and_can_be_switched_on(path, tmp_path, capsys):
    plain, marked = path.read_text(), path.read_text().replace(MARK, "")
    assert MARK in plain
    unmarked = tmp_path / "marked.toml"
    unmarked.write_text(marked)
    assert run(unmarked, tmp_path)[0] == 2  # weights that are not there, before any work
    assert "weights/" in capsys.readouterr().err and not (tmp_path / "out").exists()
    heads = tmp_path / "weights"
    heads.mkdir()
    for name in re.findall(r'"weights/(.+?)"', marked):
        write = write_aesthetic if "aesthetic" in name or "linearMSE" in name else write_linear
        if "openai" not in name:
            write(heads / name)
    unmarked.write_text(re.sub(r"pretrained = .*", "", marked.replace('"weights/', f'"{heads}/')))
    code, output = run(unmarked, tmp_path, f"clip.model={write_clip(tmp_path / 'clip')}")
    assert code == 0
    check_funnel(output, capsys)
    wanted = {"clip_score", "aesthetic", "nsfw", "watermark"}
    assert wanted <= set(pq.read_table(output / "ledger").column_names)


def test_each_preset_is_stricter_than_the_one_before():
    def bounds(name):
        tables = tomllib.loads((ROOT / "examples" / "presets" / f"{name}.toml").read_text().replace(MARK, ""))["filter"]
        return {table["kind"]: table for table in tables}

    pretrain, finetune, best = (bounds(name) for name in ("pretrain", "finetune", "sft-hq"))
    assert pretrain.keys() < finetune.keys() < best.keys()
    assert pretrain["aspect_ratio"]["max_aspect"] > 3.0 > best["aspect_ratio"]["max_aspect"]
    assert pretrain["aesthetic"]["min_score"] < 5.0 < best["aesthetic"]["min_score"]


def test_presets_are_found_by_their_names():
    assert [path.stem for path in PRESETS] == ["finetune", "pretrain", "sft-hq"]
    assert not [path for path in (ROOT / "examples" / "presets").iterdir() if path.suffix != ".toml"]
