"""The drawn world: what was asked is read from the prompt, what is seen from the pixels, and the report and the JSON tell it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.__main__ import main
from jobs.drawn_world import is_drawn_world, judge, read_caption
from jobs.recipe import load_recipe
from jobs.report import write_report
from pipeline.sources.scene import COLORS
from pipeline.sources.scene_shapes import SHAPES
from pipeline.sources.shapes import Shapes
from tests.token_output import TEXT_TOKENIZER_PATH, text_to_image_sequence, write_output
from tokenizer.text import TextTokenizer

RECIPE = Path(__file__).parents[2] / "examples" / "drawn_world.toml"
SOURCE = {"kind": "shapes", "max_things": 1, "gradient_share": 0.0, "texture_share": 0.0, "people_share": 0.0, "hold_out": ["red circle"]}
WORLD = Shapes(count=1, sizes=("64x96",), max_things=1, thing_sizes=("huge",), gradient_share=0.0)
PROMPTS = (
    "a huge red circle on a white ground",
    "a huge blue ring in the middle, on a black ground",
    "a huge green star on a white ground",
)


def picture(caption: str) -> bytes:
    """A drawing of what a caption says."""
    wanted = read_caption(caption)
    for number in range(10_000):
        key = f"{number:09d}"
        [thing] = WORLD.scene(key).things
        if (thing.color, thing.shape, WORLD.scene(key).ground) == (wanted.color, wanted.shape, wanted.ground):
            return WORLD.draw(key).images["image"]
    raise LookupError(caption)


@pytest.fixture
def output(tmp_path) -> Path:
    """Three samples: right, wrong colour, and one whose third row lacks its line break."""
    folder = tmp_path / "run" / "samples"
    text, rng = TextTokenizer(TEXT_TOKENIZER_PATH), np.random.default_rng(0)
    sequences = [text_to_image_sequence(f"{n:04d}", prompt, text, rng, height=96, width=64) for n, prompt in enumerate(PROMPTS)]
    [image] = sequences[2].images
    sequences[2].input_ids[image.start + 3 + 2 * 5 + 4] = text.vocab.code_to_id[0]
    write_output(folder, sequences)
    drawn = [PROMPTS[0], "a huge pink ring on a black ground", PROMPTS[2]]
    for number, caption in enumerate(drawn):
        (folder / f"{number:04d}.png").write_bytes(picture(caption))
    write_lines(folder, PROMPTS)
    (tmp_path / "run" / "recipe.json").write_text(json.dumps({"resolved": {"seed": 1, "source": [SOURCE]}}))
    return tmp_path / "run"


def write_lines(folder: Path, prompts, size: str = "64x96") -> None:
    lines = [{"file": f"{n:04d}.png", "key": f"{n:04d}", "prompt": prompt, "size": size} for n, prompt in enumerate(prompts)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_caption_of_the_source_is_read_back():
    for number in range(200):
        key = f"{number:09d}"
        source = Shapes(count=1, max_things=1, gradient_share=0.0)
        scene = source.scene(key)
        [thing] = scene.things
        asked = read_caption(scene.describe()[0])
        assert (asked.ground, asked.color, asked.shape, asked.size, asked.place) == (
            scene.ground,
            thing.color,
            thing.shape,
            thing.size,
            scene.layout,
        )


@pytest.mark.parametrize("caption", ["a red star left of a blue ring on a white ground", "a red house on a white ground", "", "red star"])
def test_other_captions_are_not_read(caption):
    assert read_caption(caption) is None


def test_the_report_says_what_was_asked_and_what_is_seen(output):
    page = Path(write_report(str(output), {})).read_text()
    found = json.loads((output / "samples" / "drawn_world.json").read_text())
    assert (found["pictures"], found["combinations_held_out"], found["sequences_checked"]) == (3, 1, 3)
    assert found["share_right"] == pytest.approx(2 / 3) and found["size_and_line_breaks_right"] == pytest.approx(2 / 3)
    assert found["right_by_property"] == pytest.approx({"ground": 1, "color": 2 / 3, "shape": 1, "size": 1, "place": 1})
    assert [(wrong["file"], wrong["seen"]["color"]) for wrong in found["wrong"]] == [("0001.png", "pink"), ("0002.png", "green")]
    assert "line break" in found["wrong"][1]["problems"][0]
    assert "2 of 3 pictures (66.7%)" in page and "seen: pink ring" in page
    assert page.count("<figure class=wrong>") == 2 and page.count("<figure>") == 1
    assert "Drawn by the model" not in page


def test_another_size_than_the_one_asked_is_a_problem(output):
    write_lines(output / "samples", PROMPTS[:1], size="96x64")
    [one] = judge(str(output), {"source": [SOURCE]}, [json.loads((output / "samples" / "samples.jsonl").read_text())])
    assert one.is_right and one.problems == ("96x64 was asked, it is 64x96", "one image of 96x64 was asked, the sequence has 64x96")


def test_a_picture_that_is_gone_is_wrong(output):
    (output / "samples" / "0000.png").unlink()
    write_report(str(output), {})
    found = json.loads((output / "samples" / "drawn_world.json").read_text())
    assert found["wrong"][0]["seen"] is None and found["share_right"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("change", [{"max_things": 2}, {"kind": "folder"}, {"gradient_share": 0.5}])
def test_another_world_has_no_such_section(output, change):
    assert is_drawn_world({"source": [SOURCE]}) and not is_drawn_world({"source": [SOURCE | change]})
    (output / "recipe.json").write_text(json.dumps({"resolved": {"source": [SOURCE | change]}}))
    page = Path(write_report(str(output), {})).read_text()
    assert "Asked and seen" not in page and "Drawn by the model" in page
    assert not (output / "samples" / "drawn_world.json").exists()


@pytest.fixture(scope="module")
def recipe():
    return load_recipe(str(RECIPE), [])


@pytest.fixture(scope="module")
def trained_kinds(recipe):
    """Colour and shape of every scene of the recipe's source: how often each pair occurs."""
    source = recipe.source
    things = [source.scene(f"{number:09d}").things for number in range(source.count)]
    assert all(len(found) == 1 for found in things)
    return Counter(f"{thing.color} {thing.shape}" for [thing] in things)


def test_none_of_the_recipe_s_prompts_is_of_a_pair_that_is_trained(recipe, trained_kinds):
    asked = [read_caption(prompt) for prompt in recipe.sample.prompts]
    assert len(asked) == 100 and len(set(recipe.sample.prompts)) == 88
    assert Counter(one.kind for one in asked).keys() == set(recipe.source.hold_out)
    assert {one.ground for one in asked} == set(recipe.source.grounds) and {one.size for one in asked} == {"huge"}
    assert not trained_kinds.keys() & {one.kind for one in asked}


def test_every_other_pair_is_trained_and_so_is_each_colour_and_shape(recipe, trained_kinds):
    pairs = {f"{color} {shape}" for color in COLORS for shape in SHAPES}
    assert trained_kinds.keys() == pairs - set(recipe.source.hold_out)
    assert 0.1 <= len(recipe.source.hold_out) / len(pairs) <= 0.15
    for part, names in ((0, COLORS), (1, SHAPES)):
        assert {kind.split()[part] for kind in trained_kinds} == set(names)


def test_without_the_hold_out_the_source_draws_these_pairs(recipe):
    source = replace(recipe.source, hold_out=())
    things = [source.scene(f"{number:09d}").things[0] for number in range(2000)]
    assert set(recipe.source.hold_out) <= {f"{thing.color} {thing.shape}" for thing in things}


def test_the_recipe_runs_and_even_an_untrained_model_keeps_sizes_and_line_breaks(tmp_path):
    changes = {"output": f'"{tmp_path}/run"', "source.count": 40, "train.steps": 1, "train.hidden_size": 32, "train.num_layers": 1}
    prompts = [f'"{prompt}"' for prompt in load_recipe(str(RECIPE), []).sample.prompts[:3]]
    changes["sample.prompts"] = f"[{', '.join(prompts)}]"
    arguments = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    assert main(["run", str(RECIPE), *arguments]) == 0
    found = json.loads((tmp_path / "run" / "samples" / "drawn_world.json").read_text())
    assert (found["pictures"], found["combinations_held_out"], found["sequences_checked"]) == (3, 3, 3)
    assert found["size_and_line_breaks_right"] == 1 and found["share_right"] < 1
    assert "Asked and seen" in (tmp_path / "run" / "report.html").read_text()
