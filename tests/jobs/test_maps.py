"""Maps through `mgpt prepare`: made behind the filters, the same from both executors, failures in the ledger."""

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from filters.annotators import ANNOTATORS
from jobs.__main__ import main
from jobs.recipe import load_recipe
from pipeline.errors import RecipeError
from tests.filters.annotators import tiny_map_models
from tests.filters.annotators.pictures import picture
from tests.jobs.recipes import ROOT, token_digests, write_recipe

PAGE = (ROOT / "docs" / "maps.md").read_text(encoding="utf-8")
RECIPE = """
[run]
executor = "{executor}"
unit_size = 3
[[annotator]]
kind = "depth"
model = "{models}/depth"
batch_size = 2
[[annotator]]
kind = "segmentation"
model = "{models}/segmentation"
[[annotator]]
kind = "pose"
model = "{models}/pose"
detector = "{models}/detector"
[[annotator]]
kind = "canny"
[[annotator]]
kind = "sketch"
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(7):
        (folder / f"{number:03}.png").write_bytes(picture(number))
        (folder / f"{number:03}.txt").write_text(f"original {number}")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    tiny_map_models.save_depth_anything(root / "depth")
    tiny_map_models.save_segformer(root / "segmentation")
    tiny_map_models.save_vitpose(root / "pose")
    tiny_map_models.save_detr(root / "detector")
    return root


def recipe_in(folder, pictures, models, executor="inprocess"):
    return write_recipe(folder, f'kind = "folder"\npath = "{pictures}"', rest=RECIPE.format(executor=executor, models=models))


def ledger(output: Path) -> dict[str, dict]:
    return {row["key"]: row for row in pq.read_table(output / "ledger").to_pylist()}


def test_both_executors_make_the_same(tmp_path, pictures, models, ray_cluster):
    outputs = []
    for executor in ("inprocess", "ray"):
        recipe, output = recipe_in(tmp_path / executor, pictures, models, executor)
        assert main(["prepare", str(recipe)]) == 0
        outputs.append(output)
    assert token_digests(outputs[0]) == token_digests(outputs[1])
    assert {row["disposition"] for row in ledger(outputs[0]).values()} == {"accepted"}
    assert main(["inspect", "verify", str(outputs[0])]) == 0


def test_a_picture_that_no_map_can_be_made_of_is_one_failed_sample(tmp_path, pictures, models):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes((pictures / f"{number:03}.png").read_bytes())
        (folder / f"{number}.txt").write_text("words")
    Image.new("RGB", (15, 60)).save(folder / "thread.png")
    (folder / "thread.txt").write_text("a thread")
    recipe, output = recipe_in(tmp_path, folder, models)
    assert main(["prepare", str(recipe), "--set", "run.max_failed_fraction=0.3"]) == 0
    row = ledger(output)["thread"]
    assert (row["disposition"], row["stage"], row["reason"]) == ("failed", "depth", "depth_picture_unusable")
    assert sum(row["disposition"] == "accepted" for row in ledger(output).values()) == 3


def test_weights_that_are_not_there_are_refused_and_other_weights_are_another_run(tmp_path, pictures, models):
    recipe, output = recipe_in(tmp_path, pictures, models)
    assert main(["prepare", str(recipe), "--set", f'annotator.1.model="{tmp_path}/nowhere"']) == 2 and not output.exists()
    before = load_recipe(str(recipe), []).data_identity()
    assert load_recipe(str(recipe), []).data_identity() == before
    weights = models / "detector" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + hashlib.sha256(whole).digest()[:1])
    assert load_recipe(str(recipe), []).data_identity() != before
    weights.write_bytes(whole)


def test_the_page_about_maps_names_every_kind_and_its_snippets_are_recipes(tmp_path):
    snippets = [part.partition("```")[0] for part in PAGE.split("```toml\n")[1:]]
    kinds = set()
    for number, snippet in enumerate(snippets):
        recipe = tmp_path / f"{number}.toml"
        recipe.write_text(f'output = "{tmp_path}/out"\n{snippet}')
        kinds |= {kind for kind, _ in load_recipe(str(recipe), []).annotators}
    assert kinds == {"depth", "segmentation", "pose", "canny", "sketch"} <= set(ANNOTATORS)
    with pytest.raises(RecipeError, match="unknown key"):
        recipe.write_text(f'output = "x"\n{snippets[0]}\nmodels = 3\n')
        load_recipe(str(recipe), [])
