"""Every recipe in examples/ is a valid one, and every `mgpt` command in the README runs."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.recipe import load_tables
from jobs.stages import build_stages

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path for path in ROOT.glob("examples/*.toml") if not path.name.startswith(("fit_", "eval_")))


def readme_commands() -> list[list[str]]:
    """The `mgpt` lines of the README's shell blocks, comments cut off."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines() if line.startswith("mgpt ")]


@pytest.fixture
def in_a_copy(tmp_path, monkeypatch):
    """A working folder that sees the examples and is thrown away."""
    for name in ("examples", "tokenizer", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_an_example_is_a_valid_recipe(path, in_a_copy, capsys):
    build_stages(load_tables(str(path), []))
    verb = "run" if "train" in tomllib.loads(path.read_text()) else "prepare"
    assert main([verb, f"examples/{path.name}", "--dry-run"]) == 0
    assert not (in_a_copy / "runs").exists()


@pytest.fixture
def with_pictures(in_a_copy):
    """Where gather.sh would have put pictures, and earlier runs their weights."""
    for name in ("photos", "textures", "stamps", "clipart", "pages", "held_out", "unseen", "thousand"):
        (in_a_copy / "data" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(in_a_copy / "data" / name / "a.png")
    for run in ("vq_1_see", "vq_2_detail", "vq_3_sharpen", "vq_4_small_encoder"):
        (in_a_copy / "runs" / run).mkdir(parents=True)
        (in_a_copy / "runs" / run / "weights.safetensors").touch()


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/bundled_vq/*.toml")), ids=lambda path: path.name)
def test_the_bundled_vq_s_recipes_are_valid(path, with_pictures, capsys):
    verb = "eval-vq" if path.name.startswith("eval") else "fit-vq"
    assert main([verb, f"examples/bundled_vq/{path.name}", "--dry-run"]) == 0


def test_every_command_in_the_readme_runs(in_a_copy, capsys):
    commands = readme_commands()
    assert len(commands) >= 7
    for _, *arguments in commands:
        assert main(arguments) == 0, arguments
    assert (in_a_copy / "runs" / "photos" / "tokens" / "manifest.json").exists()


def test_the_readme_and_the_filters_page_name_every_filter():
    from filters import FILTERS

    for path in ("README.md", "docs/filters.md"):
        text = (ROOT / path).read_text()
        assert [kind for kind in FILTERS if f"`{kind}`" not in text] == []


def test_the_readme_lists_every_source():
    from pipeline.sources import SOURCES

    text = (ROOT / "README.md").read_text()
    assert all(f"| `{kind}` |" in text for kind in SOURCES)
