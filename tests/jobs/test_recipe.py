"""Recipes are checked before any work, on a machine without torch."""

import ast
import subprocess
import sys

import pytest

from jobs.recipe import build_recipe, load_recipe
from pipeline.errors import RecipeError
from tests.jobs.recipes import GOLDEN, ROOT, write_recipe
from tokenizer.tasks.text_to_image import PROMPT, PROMPT_WITHOUT_SIZE

SHAPES = 'kind = "shapes"\ncount = 3'


@pytest.mark.parametrize(
    "rest, message",
    [
        ('[[filter]]\nkind = "image_sizes"', "filter[0]: unknown kind 'image_sizes'"),
        ('[[filter]]\nkind = "image_size"\nmin_sides = 3', "did you mean 'min_side'"),
        ('[[filter]]\nkind = "image_size"\nmin_side = "3"', "filter[0](image_size).min_side"),
        ('[[filter]]\nkind = "image_size"\n[[filter]]\nkind = "image_size"', "filter[1]: image_size is listed twice"),
        ('[[annotator]]\nkind = "captions"', "annotator[0]: unknown kind 'captions'; did you mean 'caption'?"),
        ('[[task]]\nkind = "text_to_image"\nweight = 0', "task[0].weight"),
        ('[[task]]\nkind = "text_to_images"', "task[0]: unknown kind"),
        ("[run]\nmax_failed_fraction = 2.0", "run.max_failed_fraction"),
        ("[run]\nunit_size = 20000", "run.unit_size"),
        ('[run]\nexecutor = "dask"', "'dask' is none of 'inprocess', 'ray'"),
        ('[sample]\nsize = "500x500"', "sample.size"),
        ("[trian]\nsteps = 3", "did you mean 'train'"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_keys_path(tmp_path, rest, message):
    recipe, _ = write_recipe(tmp_path, SHAPES, rest=rest)
    with pytest.raises(RecipeError) as error:
        load_recipe(str(recipe), [])
    assert message in str(error.value)


@pytest.mark.parametrize(
    "override, message",
    [
        ("tokens.target_size=500", "tokens.target_size"),
        ("tokens.text=nowhere.json", "nowhere.json"),
        ("tokens.vq.weights=nowhere.ckpt", "nowhere.ckpt"),
        ("tokens.vq.kind=movq", "tokens.vq: unknown kind 'movq'"),
        ("source.path=x", "unknown key 'path'"),
        ("output=3", "output"),
    ],
)
def test_a_wrong_override_is_refused(tmp_path, override, message):
    recipe, _ = write_recipe(tmp_path, SHAPES)
    with pytest.raises(RecipeError) as error:
        load_recipe(str(recipe), [override])
    assert message in str(error.value)


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    (tmp_path / "recipe.toml").write_text("seed = = 3")
    with pytest.raises(RecipeError, match="no valid TOML"):
        load_recipe(str(tmp_path / "recipe.toml"), [])


def test_a_filter_judges_by_the_runs_own_buckets(tmp_path):
    recipe, _ = write_recipe(tmp_path, SHAPES, rest='[[filter]]\nkind = "image_size"\n')
    assert load_recipe(str(recipe), []).filters[0][1].target_size == 64


def test_the_resolved_recipe_fills_every_default_in(tmp_path):
    recipe, _ = write_recipe(tmp_path, SHAPES, rest='[[filter]]\nkind = "image_size"\n')
    resolved = load_recipe(str(recipe), []).resolved()
    assert resolved["source"][0]["sizes"] == ["128x128"]
    assert resolved["filter"][0]["max_upscale"] == 1.33
    assert resolved["tokens"]["vq"]["config"] == f"{GOLDEN}/tokenizer/vqgan.yaml"
    words = {"wordings": [PROMPT], "wordings_without_size": [PROMPT_WITHOUT_SIZE]}
    assert resolved["task"] == [{"kind": "text_to_image", "weight": 1.0, "unstated_size_fraction": 0.0, **words}]


def test_a_tokenizer_without_enough_codes_for_the_vq_is_refused(tmp_path):
    text = (GOLDEN / "tokenizer" / "text_tokenizer.json").read_text().replace("IMGIMGIBJBZ", "IMGIMGZZZZZ")  # code 8191
    (tmp_path / "short.json").write_text(text)
    tables = {"output": str(tmp_path), "source": {"kind": "shapes", "count": 1}, "tokens": {"text": str(tmp_path / "short.json")}}
    with pytest.raises(RecipeError, match="8191 codes, the VQ has 8192"):
        build_recipe(tables)


def test_checking_a_recipe_loads_no_heavy_library(tmp_path):
    recipe, _ = write_recipe(tmp_path, SHAPES)
    code = f"import sys; from jobs.recipe import load_recipe; load_recipe({str(recipe)!r}, []); print(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "transformers", "open_clip", "img2dataset"} & set(ast.literal_eval(result.stdout))


def test_keys_of_two_sources_are_told_apart_by_a_prefix(tmp_path):
    scenes = {"kind": "shapes", "count": 2}
    tables = {"output": str(tmp_path), "source": [scenes, scenes | {"seed": 1, "key_prefix": "second/"}]}
    recipe = build_recipe(tables)
    keys = [sample.key for unit in recipe.source.plan(10) for sample in recipe.source.read(unit)]
    assert keys == ["000000000", "000000001", "second/000000000", "second/000000001"]
    assert [table.get("key_prefix") for table in recipe.resolved()["source"]] == [None, "second/"]
    alone = build_recipe(tables | {"source": scenes | {"key_prefix": "a"}})
    assert [sample.key for unit in alone.source.plan(10) for sample in alone.source.read(unit)] == ["a000000000", "a000000001"]
    for bad in ("a.b", "__a", 3):
        with pytest.raises(RecipeError, match=r"source\[0\]\.key_prefix: wants text without a dot"):
            build_recipe(tables | {"source": scenes | {"key_prefix": bad}})


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_a_weight_is_a_number_above_zero(tmp_path, weight):
    with pytest.raises(RecipeError, match=r"task\[0\]\.weight: a number above 0 is wanted"):
        build_recipe({"output": str(tmp_path), "task": [{"kind": "captioning", "weight": weight}]})


def test_a_planned_weight_that_no_sample_may_give_is_refused(tmp_path):
    tables = {"output": str(tmp_path), "task": [{"kind": "captioning", "weight": 6.0}]}
    assert build_recipe(tables).tasks[0].weight == 6.0
    with pytest.raises(RecipeError, match=r"task\[0\]\.weight: 6 is more often than tokens\.max_repeats, 4"):
        build_recipe(tables | {"tokens": {"mixture": "planned"}})
    assert build_recipe(tables | {"tokens": {"mixture": "planned", "max_repeats": 6}}).tasks[0].weight == 6.0
