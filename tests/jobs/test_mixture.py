"""The mixture that a recipe asks for, planned over the run, comes out in the shards; and is told honestly where it cannot."""

import json

import pytest

from jobs.__main__ import main
from jobs.inspection.mixture import read_mixture
from jobs.recipe import load_recipe
from jobs.run_plan import make_plan
from pipeline.errors import RecipeError
from tests.jobs.recipes import ROOT, token_digests, write_recipe

DIALOGUE = [{"from": "human", "value": "Name three primes."}, {"from": "gpt", "value": "2, 3 and 5."}]
TASKS = """
[[task]]
kind = "text_to_image"
weight = 0.55
[[task]]
kind = "captioning"
weight = 0.25
[[task]]
kind = "text_only"
weight = 0.2
"""


def two_sources(folder, *, tokens="target_size = 32", run="unit_size = 32", tasks=TASKS, dialogues=40, scenes=160):
    """A recipe over dialogues, which feed one task only, and drawn scenes, which feed the others."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = folder / "texts.json"
    texts.write_text(json.dumps([{"id": f"text{number}", "conversations": DIALOGUE} for number in range(dialogues)]))
    recipe, output = write_recipe(folder, f'kind = "conversations"\npath = "{texts}"', tokens=tokens, rest=f"[run]\n{run}\n{tasks}")
    second = f'[[source]]\nkind = "shapes"\ncount = {scenes}\nsizes = ["32x32"]\n[tokens]'
    recipe.write_text(recipe.read_text().replace("[source]", "[[source]]").replace("[tokens]", second))
    return recipe, output


def test_shares_of_a_planned_run_are_those_that_were_asked_for(tmp_path, capsys):
    recipe, output = two_sources(tmp_path, tokens='target_size = 32\nmixture = "planned"')
    assert main(["prepare", str(recipe)]) == 0
    mixture = read_mixture(str(output))
    assert mixture.largest_difference < 0.005
    assert {task.task: task.sequences for task in mixture.tasks} == {"text_to_image": 110, "captioning": 50, "text_only": 40}
    assert "the largest difference is 0.00%" in capsys.readouterr().out
    assert main(["inspect", "verify", str(output)]) == 0
    assert main(["inspect", "lint", str(output)]) == 0
    capsys.readouterr()
    assert main(["inspect", "mixture", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"][0]["asked"] == pytest.approx(0.55)


def test_weights_may_count_tokens(tmp_path):
    tokens = 'target_size = 32\nmixture = "planned"\nweights_count = "tokens"'
    tasks = '[[task]]\nkind = "text_to_image"\nweight = 0.3\n[[task]]\nkind = "captioning"\nweight = 0.7\n'
    recipe, output = two_sources(tmp_path, tokens=tokens, tasks=tasks, scenes=400, dialogues=1)
    assert main(["prepare", str(recipe), "--set", "run.max_failed_fraction=1.0"]) == 0
    mixture = read_mixture(str(output))
    assert mixture.counted == "tokens" and mixture.largest_difference < 0.02
    assert mixture.tasks[1].sequences > 2 * mixture.tasks[0].sequences


@pytest.mark.parametrize("tasks", ["drawn", "planned"])
def test_drawn_by_tokens_as_well_as_planned(tmp_path, tasks):
    tokens = f'target_size = 32\nmixture = "{tasks}"\nweights_count = "tokens"'
    two = '[[task]]\nkind = "text_to_image"\nweight = 0.5\n[[task]]\nkind = "captioning"\nweight = 0.5\n'
    recipe, output = two_sources(tmp_path, tokens=tokens, tasks=two, scenes=600, dialogues=1)
    assert main(["prepare", str(recipe)]) == 0
    assert read_mixture(str(output)).largest_difference < 0.05


def test_what_too_few_can_feed_is_pointed_out(tmp_path, capsys):
    recipe, output = two_sources(tmp_path, tokens='target_size = 32\nmixture = "planned"\nmax_repeats = 2', dialogues=5)
    assert main(["prepare", str(recipe)]) == 0
    text = next(task for task in read_mixture(str(output)).tasks if task.task == "text_only")
    assert text.sequences == 10 and text.is_off
    line = next(line for line in capsys.readouterr().out.splitlines() if "text_only" in line and "%" in line)
    assert line.endswith("off")


def test_two_workers_of_ray_write_the_same_bytes_as_one_process(tmp_path, ray_cluster):
    tokens = 'target_size = 32\nmixture = "planned"'
    digests = []
    for run in ('executor = "inprocess"', 'executor = "ray"\nworkers = 2'):
        recipe, output = two_sources(tmp_path, tokens=tokens, run=f"unit_size = 32\n{run}")
        assert main(["prepare", str(recipe), "--set", f"output={output}{len(digests)}"]) == 0
        digests.append(token_digests(output.with_name(f"out{len(digests)}")))
    assert digests[0] == digests[1]


def test_a_mixture_that_cannot_be_foreseen_is_refused(tmp_path):
    annotator = f'[[annotator]]\nkind = "caption"\nmodel = "{tmp_path}/none"\n'
    recipe, _ = two_sources(tmp_path, tokens='target_size = 32\nmixture = "planned"', tasks=TASKS + annotator)
    with pytest.raises(RecipeError, match=r"tokens\.mixture: what annotator caption will say"):
        make_plan(load_recipe(str(recipe), []))


def test_the_demo_s_mixture_is_drawn_sample_by_sample():
    assert load_recipe(str(ROOT / "examples" / "demo.toml"), []).tokens.mixture == "drawn"
