"""Runs with CLIP: one pass for all scores, the same bytes from both executors and any batch, exact shares, nothing without weights."""

import hashlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from filters.clip_stage import ClipStage
from jobs.__main__ import main
from jobs.prepare import prepare
from jobs.recipe import load_recipe
from jobs.run_plan import make_plan
from pipeline.ledger import Ledger
from pipeline.runner import open_samples, run_steps
from pipeline.sources.shapes import Shapes
from tests.filters.clip_models import write_aesthetic, write_clip, write_linear
from tests.jobs.recipes import write_recipe

SHAPES = 'kind = "shapes"\ncount = 20\nsizes = ["64x64", "128x64"]'


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """What the recipes name."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        "clip": write_clip(folder / "clip"),
        "aesthetic": write_aesthetic(folder / "aesthetic.pth"),
        "wide": write_aesthetic(folder / "wide.pth", 768),
        "safety": write_linear(folder / "safety.safetensors", bias=-9.0),
        "watermark": write_linear(folder / "watermark.safetensors", bias=-9.0),
    }


def tables(weights, run="", clip="", **options):
    """All four filters, behind one that wants no CLIP; options by filter."""
    filters = [f'[[filter]]\nkind = "clip_score"\nmin_score = -1\n{options.pop("clip_score", "")}']
    for kind in ("aesthetic", "safety", "watermark"):
        filters.append(f'[[filter]]\nkind = "{kind}"\nweights = "{weights[kind]}"\n{options.pop(kind, "")}')
    assert not options
    head = (
        f'[run]\nunit_size = 6\n{run}\n[clip]\nmodel = "{weights["clip"]}"\n{clip}\n[[filter]]\nkind = "aspect_ratio"\nmax_aspect = 1.9\n'
    )
    return head + "\n".join(filters)


def recipe_in(folder, *args, **options):
    return write_recipe(folder, SHAPES, rest=tables(*args, **options))


def ledger(output):
    return {row["key"]: row for row in pq.read_table(output / "ledger").to_pylist()}


def digests(output):
    files = (path for name in ("tokens", "ledger", "signatures") for path in sorted((output / name).rglob("*")) if path.is_file())
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, weights):
    recipe, output = recipe_in(tmp_path_factory.mktemp("quiet"), weights, aesthetic="top_fraction = 0.5\nmin_score = 1")
    assert main(["prepare", str(recipe)]) == 0
    return output


def test_every_sample_has_every_score_the_rejected_too(quiet, weights):
    rows = ledger(quiet)
    names = ("clip_score", "caption_clip_truncated", "aesthetic", "nsfw", "watermark")
    assert len(rows) == 20 and all(row[name] is not None for row in rows.values() for name in names)
    assert {row["stage"] for row in rows.values()} == {"", "aspect_ratio", "aesthetic"}
    assert len({row["clip_score"] for row in rows.values()}) > 15
    assert main(["inspect", "verify", str(quiet)]) == 0


@pytest.mark.parametrize(
    ("run", "clip"), [("", "batch_size = 1"), ("", "batch_size = 5"), ('executor = "ray"\nworkers = 1', "batch_size = 4")]
)
def test_batches_and_executors_leave_no_trace(tmp_path, weights, quiet, ray_cluster, run, clip):
    recipe, output = recipe_in(tmp_path, weights, run, clip, aesthetic="top_fraction = 0.5\nmin_score = 1")
    assert main(["prepare", str(recipe)]) == 0
    assert digests(output) == digests(quiet)


@pytest.mark.parametrize(("kind", "score"), [("clip_score", "clip_score"), ("aesthetic", "aesthetic")])
def test_the_share_of_a_run_is_exact(tmp_path, weights, kind, score):
    recipe, output = recipe_in(
        tmp_path, weights, **{"aesthetic": "min_score = 1"} | {kind: "top_fraction = 0.3\n" + "min_score = 1\n" * (kind == "aesthetic")}
    )
    recipe.write_text(recipe.read_text().replace("max_aspect = 1.9", "max_aspect = 2.5"))
    assert main(["prepare", str(recipe)]) == 0
    rows = ledger(output)
    kept = {key for key, row in rows.items() if row["disposition"] == "accepted"}
    best = sorted(rows, key=lambda key: -rows[key][score])[:6]
    assert kept == set(best)
    assert {row["reason"] for key, row in rows.items() if key not in kept} == {f"not_in_top_{score}"}


def test_the_step_stands_before_the_first_filter_that_wants_it(tmp_path, weights):
    plan = make_plan(load_recipe(str(recipe_in(tmp_path, weights)[0]), []))
    assert [step.name for step in plan.job.steps] == ["aspect_ratio", "clip", "clip_score", "aesthetic", "safety", "watermark"]
    assert plan.passes == ("score", "encode") and len(plan.job.models) == 1
    assert plan.job.steps[1] == ClipStage(plan.recipe.clip, with_text=True)


def test_captions_are_embedded_only_where_a_filter_wants_them(tmp_path, weights):
    text = tables(weights).replace('[[filter]]\nkind = "clip_score"\nmin_score = -1', "")
    plan = make_plan(load_recipe(str(write_recipe(tmp_path, SHAPES, rest=text)[0]), []))
    assert plan.job.steps[1] == ClipStage(plan.recipe.clip, with_text=False)


def test_the_plan_says_which_scores_are_on_and_from_where(tmp_path, weights, capsys):
    recipe, _ = recipe_in(tmp_path, weights)
    assert main(["prepare", str(recipe), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"clip        {weights['clip']} (auto) for filter clip_score, filter aesthetic, filter safety, filter watermark\n" in said
    assert f"weights     aesthetic: {weights['aesthetic']}\n" in said
    assert main(["prepare", str(write_recipe(tmp_path / "off", SHAPES)[0]), "--dry-run"]) == 0
    assert "clip        off\n" in capsys.readouterr().out


REFUSED = {
    "no CLIP": ([f"clip.model={json.dumps('ViT-L-14')}"], "clip.pretrained: missing, so CLIP is off"),
    "no head": (["filter.2.weights="], "filter aesthetic: off without weights"),
    "a head that is not there": (["filter.3.weights=none.pth"], "none.pth: no such file"),
    "a head for another model": (["filter.2.weights=WIDE"], "made for vectors of 768 numbers"),
    "a threshold off its scale": (["filter.2.min_score=0.5"], "its score lies on a scale from 1 to 10, and 0.5 is off it"),
    "a cosine in percent": (["filter.1.min_score=25"], "its score lies on a scale from -1 to 1, and 25 is off it"),
    "a share in percent": (["filter.1.top_fraction=30"], "filter[1].top_fraction"),
    "a probability over 1": (["filter.3.max_score=1.5"], "filter[3].max_score"),
    "a batch of nothing": (["clip.batch_size=0"], "clip: batch_size: at least 1 is wanted"),
    "an unknown key": (["clip.pretraind=openai"], "did you mean 'pretrained'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_before_any_work(tmp_path, weights, capsys, name):
    recipe, output = recipe_in(tmp_path, weights)
    changes, message = REFUSED[name]
    sets = [part for change in changes for part in ("--set", change.replace("WIDE", str(weights["wide"])))]
    assert main(["prepare", str(recipe), *sets]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_weights_that_do_not_fit_the_model_end_with_2(tmp_path, weights, capsys):
    recipe, _ = recipe_in(tmp_path, weights)
    bad = tmp_path / "bad"
    name = write_clip(bad)
    config = json.loads((bad / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["layers"] = 3
    (bad / "open_clip_config.json").write_text(json.dumps(config))
    assert main(["prepare", str(recipe), "--set", f"clip.model={name}"]) == 2
    assert "cannot be loaded as local-dir:" in capsys.readouterr().err


def test_other_weights_are_another_run(tmp_path, weights, quiet, capsys):
    head = tmp_path / "aesthetic.pth"
    write_aesthetic(head)
    recipe, _ = recipe_in(tmp_path, weights, aesthetic="min_score = 1")
    recipe.write_text(recipe.read_text().replace(str(weights["aesthetic"]), str(head)))
    assert main(["prepare", str(recipe)]) == 0
    assert main(["prepare", str(recipe), "--set", "clip.batch_size=3"]) == 0
    write_aesthetic(head, seed=5)
    assert main(["prepare", str(recipe)]) == 5
    assert "fingerprints.filter aesthetic" in capsys.readouterr().err
    assert main(["prepare", str(recipe), "--set", f"clip.model={write_clip(tmp_path / 'other', seed=8)}"]) == 5


def test_vectors_reach_rules_behind_the_step_in_batches_of_their_own(tmp_path, weights):
    """A rule that keeps them as its signature finds the same as one that asks the stage itself."""
    plan = make_plan(load_recipe(str(recipe_in(tmp_path, weights, clip="batch_size = 3")[0]), []))
    job = plan.job
    job.setup([spec.load() for spec in job.models])
    samples = [Shapes(count=1, sizes=("64x64",)).draw(str(i)) for i in range(7)]
    rows = Ledger(job.score_names)
    passed = list(run_steps(open_samples(samples, rows), job.steps[:2], rows))
    assert len(passed) == 7
    for sample, got in zip(samples, passed, strict=True):
        [alone] = job.steps[1]([sample])
        assert np.array_equal(got.embeddings["clip_image"], alone.embeddings["clip_image"])


def test_the_weights_are_gone_when_pictures_are_encoded(tmp_path, weights):
    plan = make_plan(load_recipe(str(recipe_in(tmp_path, weights)[0]), []))
    prepare(plan)
    assert plan.job.steps[1]._ask is None
