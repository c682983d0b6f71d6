"""`mgpt sample` from the outside: answers with their settings, done once, the same after a kill and from any number of actors."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jobs import sample
from jobs.__main__ import main
from jobs.recipe import load_recipe
from jobs.reporting.model import sampled
from jobs.reporting.run_data import read_run
from jobs.sampling import store
from jobs.sampling.actors import answer_on_ray
from jobs.sampling.engine import to_png
from jobs.sampling.plan import plan_requests
from jobs.sampling.prompts import plain_prompts
from pipeline import ray_runner
from pipeline.errors import ShardError
from pipeline.shards.reader import TokenShards
from tests.jobs.lm.tiny import OPTIONS
from tests.jobs.sampling_recipes import DyingSpec, write_dialogues, write_model, write_pictures, write_sample_recipe
from tokenizer.tasks.text_to_image import text_to_image_prompt

PROMPTS = 'prompts = ["a red circle", "ein grüner Würfel"]\nnum_per_prompt = 2\n'

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "step-000002")


@pytest.fixture(scope="module")
def mixed(model, tmp_path_factory):
    """Everything in one run: prompts of two sizes, dialogues with pictures, answers in text; the folder of the samples, and the recipe."""
    folder = tmp_path_factory.mktemp("mixed")
    write_pictures(folder)
    write_dialogues(folder / "dialogues.json")
    items = [
        {"prompt": "a tower", "size": "32x64", "seed": 9, "num": 2, "Category": "Buildings"},
        {"caption": "Tell me.", "answer": "text"},
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    files = f'prompts_file = "{folder}/prompts.jsonl"\nconversations_file = "{folder}/dialogues.json"\n'
    recipe, samples = write_sample_recipe(folder, model, PROMPTS + files)
    assert main(["sample", str(recipe)]) == 0
    return recipe, samples


def read_lines(samples):
    return [json.loads(line) for line in (samples / "samples.jsonl").read_text().splitlines()]


def contents(samples):
    return {str(path.relative_to(samples)): path.read_bytes() for path in samples.rglob("*") if path.is_file()}


def test_pictures_come_with_their_prompt_and_settings(mixed):
    _, samples = mixed
    lines = read_lines(samples)
    assert [line["prompt"] for line in lines[:4]] == ["a red circle"] * 2 + ["ein grüner Würfel"] * 2
    assert [line["file"] for line in lines[:4]] == ["0000.png", "0001.png", "0002.png", "0003.png"]
    for line in lines[:6]:
        with Image.open(samples / line["file"]) as picture:
            assert picture.size == tuple(map(int, line["size"].split("x")))
            assert np.asarray(picture).std() > 1
            told = {name: picture.text[name] for name in ("prompt", "number", "seed", "draw", "size", "guidance", "checkpoint", "weights")}
            assert told == {name: str(line[name]) for name in told}
    assert (lines[0]["seed"], lines[0]["guidance"], lines[0]["size"], lines[0]["key"]) == (3, 2.0, "64x32", "0000")
    assert lines[0]["checkpoint"].endswith("step-000002")


def test_an_item_says_its_own_size_seed_and_number(mixed):
    lines = read_lines(mixed[1])
    assert [(line["size"], line["seed"], line["draw"], line["metadata"]) for line in lines[4:6]] == [
        ("32x64", 9, 0, {"Category": "Buildings"}),
        ("32x64", 9, 1, {"Category": "Buildings"}),
    ]


def test_dialogues_are_answered_in_pictures_of_their_picture_s_size_or_in_text(mixed):
    _, samples = mixed
    lines = {line["key"]: line for line in read_lines(samples)}
    edit, ask = lines["edit"], [lines["ask"], lines["ask-1"]]
    assert edit["size"] == "96x32" and edit["image_guidance"] == 1.5  # a.png in its bucket
    assert edit["turns"] == [["user", "Add a hat. <|image|>"]] and edit["pictures"][0]["file"] == "a.png"
    assert all(line["files"] == [] and line["text"] for line in ask) and ask[0]["text"] != ask[1]["text"]
    assert lines["0012"]["task"] == "vqa" and lines["0012"]["answer"] == "free"


def test_the_samples_are_token_shards_for_inspect_and_the_trainer(mixed, tmp_path, capsys):
    from jobs.lm.train_data import open_data

    _, samples = mixed
    assert main(["inspect", "lint", str(samples)]) == 0
    assert main(["inspect", "verify", str(samples)]) == 0
    assert main(["inspect", "info", str(samples)]) == 0
    assert "14 in: 14 accepted" in capsys.readouterr().out
    assert main(["inspect", "show", str(samples), "edit"]) == 0
    assert "Add a hat. ⟨image 96x32" in capsys.readouterr().out
    assert main(["inspect", "decode", str(samples), "0004", "--out", str(tmp_path)]) == 0
    with Image.open(next(tmp_path.glob("*.png"))) as decoded, Image.open(samples / "0004.png") as written:
        assert decoded.tobytes() == written.tobytes()
    shards = TokenShards(str(samples))
    assert [shards.read(number).key for number in (0, 6, 8, 9)] == ["0000", "0006", "edit", "edit-1"]
    assert shards.read(4).caption == "a tower" and shards.read(4).metadata["Category"] == "Buildings"
    data = open_data(str(samples), replace(OPTIONS, held_out_fraction=0.0), 0)
    assert data.vocab.fingerprint == shards.manifest.vocabulary["fingerprint"]


def test_the_page_shows_prompts_pictures_answers_and_dialogues(mixed):
    _, samples = mixed
    page = (samples / "index.html").read_text()
    lines = read_lines(samples)
    assert all(f'src="{file}"' in page for line in lines for file in line["files"])
    assert "ein grüner Würfel" in page and "Add a hat. <img src=" in page and "answered: " in page
    thumbnails = sorted(path.name for path in (samples / "inputs").iterdir())
    assert len(thumbnails) == 2 and all(f"inputs/{name}" in page for name in thumbnails)


def test_the_report_shows_pictures_and_answers(mixed):
    _, samples = mixed
    section = sampled(read_run(str(samples.parent)))
    assert section.count("<img") == sum(bool(line["file"]) for line in read_lines(samples))
    assert "is not there" not in section


def test_what_is_sampled_is_not_sampled_again_and_what_changed_is_replaced(model, tmp_path, capsys):
    recipe, samples = write_sample_recipe(tmp_path, model, PROMPTS)
    assert main(["sample", str(recipe)]) == 0
    before, times = contents(samples), {path: path.stat().st_mtime_ns for path in samples.rglob("*")}
    assert main(["sample", str(recipe)]) == 0
    assert "already done, 4 answers" in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in samples.rglob("*")}
    (samples / "mine.txt").write_text("kept")
    assert main(["sample", str(recipe), "--set", "sample.batch_size=1"]) == 0
    assert "already done" in capsys.readouterr().out
    assert main(["sample", str(recipe), "--set", "sample.num_per_prompt=1", "--set", "sample.write_tokens=false"]) == 0
    assert sorted(path.name for path in samples.iterdir()) == ["0000.png", "0001.png", "index.html", "mine.txt", "samples.jsonl"]
    (samples / "0001.png").unlink()
    assert main(["sample", str(recipe), "--set", "sample.batch_size=1"]) == 0
    (samples / "tokens" / "shard-00000.arrow").unlink()
    assert main(["sample", str(recipe), "--set", "sample.batch_size=1"]) == 0
    assert contents(samples) == before | {"mine.txt": b"kept"}
    assert main(["sample", str(recipe), "--set", "sample.seed=4"]) == 0
    assert contents(samples)["0000.png"] != before["0000.png"]


def test_other_weights_under_the_same_name_are_sampled_from_anew(model, tmp_path, capsys):
    own = shutil.copytree(model, tmp_path / "model")
    recipe, _ = write_sample_recipe(tmp_path, own, 'prompts = ["a"]')
    assert main(["sample", str(recipe)]) == 0
    weights = bytearray((own / "model.safetensors").read_bytes())
    weights[-100:] = bytes(100)
    (own / "model.safetensors").write_bytes(weights)
    assert main(["sample", str(recipe)]) == 0
    assert "already done" not in capsys.readouterr().out


class _Killed(BaseException):
    pass


def test_a_run_that_is_killed_goes_on_behind_its_last_unit_and_ends_the_same(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store, "UNIT", 2)
    recipe, samples = write_sample_recipe(tmp_path, model, 'prompts = ["a", "b", "c", "d", "e"]')
    recipe.write_text(recipe.read_text().replace("batch_size = 3", "batch_size = 2"))
    assert main(["sample", str(recipe)]) == 0
    whole = contents(samples)
    shutil.rmtree(samples)
    add, commits = store.Store.add, []

    def killed_at_the_fourth(self, answer):
        if len(commits) == 3:
            raise _Killed
        commits.append(answer.number)
        add(self, answer)

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "add", killed_at_the_fourth)
        with pytest.raises(_Killed):
            main(["sample", str(recipe)])
    assert not (samples / "samples.jsonl").exists()
    assert sorted(path.name for path in samples.glob("*.png")) == ["0000.png", "0001.png", "0002.png"]  # written as they are finished
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "add", lambda self, answer: (made.append(answer.number), add(self, answer)))
        assert main(["sample", str(recipe)]) == 0
    assert sorted(made) == [2, 3, 4]
    assert "going on, 2 answers are there" in capsys.readouterr().out
    assert contents(samples) == whole


def test_two_actors_write_the_same_bytes_as_one_process(mixed, ray_cluster, monkeypatch):
    recipe, samples = mixed
    whole = contents(samples)
    (samples / "samples.jsonl").unlink()
    assert main(["sample", str(recipe), "--set", "sample.actors=2"]) == 0
    assert contents(samples) == whole


def test_the_requests_of_a_dead_actor_are_dealt_out_again(model, tmp_path, ray_cluster, monkeypatch):
    recipe, _ = write_sample_recipe(tmp_path, model, 'prompts = ["a", "b", "c", "d"]')
    loaded = load_recipe(str(recipe), [])
    asked = plan_requests(loaded, plain_prompts(loaded.sample.prompts, "here"), model)

    def answers(number, times):
        dying = DyingSpec(str(tmp_path), number, times)
        return list(answer_on_ray(dying, asked, sample._job, actors=1, hand=3, address=""))

    assert sorted((answer.number, answer.parts) for answer in answers(2, 1)) == [(0, ("a",)), (1, ("b",)), (2, ("c",)), (3, ("d",))]
    assert (tmp_path / "death_0").exists()
    monkeypatch.setattr(ray_runner, "MAX_ATTEMPTS", 1)
    with pytest.raises(ShardError, match="answer 0 or one near it killed its actor 1 times"):
        answers(0, 10)


def test_the_command_line_s_prompts_take_the_place_of_the_recipe_s(model, tmp_path):
    recipe, samples = write_sample_recipe(tmp_path, model, PROMPTS)
    (tmp_path / "more.txt").write_text("a blue cone\n\n a green box\n")
    assert main(["sample", str(recipe), "--set", "sample.num_per_prompt=1", "--prompt", "one", "--prompts", f"{tmp_path}/more.txt"]) == 0
    assert [line["prompt"] for line in read_lines(samples)] == ["one", "a blue cone", " a green box"]


def test_the_run_s_own_last_checkpoint_is_taken_where_none_is_named(model, tmp_path, capsys):
    recipe, _ = write_sample_recipe(tmp_path, model, 'prompts = ["a"]')
    recipe.write_text(recipe.read_text().replace(f'checkpoint = "{model}"', ""))
    assert main(["sample", str(recipe)]) == 2
    assert "no checkpoint; run `mgpt train` first" in capsys.readouterr().err


def test_what_cannot_be_sampled_is_refused(model, tmp_path, capsys):
    recipe, samples = write_sample_recipe(tmp_path, model, PROMPTS)
    for change, message in {
        "sample.size=64x30": "multiples of 32",
        "sample.size=large": "width x height is wanted",
        "sample.size=1024x1024": "the model was made for 512",
        "sample.guidance=-1": "sample.guidance: 0 or more is wanted",
        "sample.actors=-1": "sample.actors: 0 or more is wanted",
        "sample.checkpoint=nowhere": "no model folder",
        "sample.prompts_file=none.txt": "none.txt: no such file",
    }.items():
        assert main(["sample", str(recipe), "--set", change]) == 2
        assert message in capsys.readouterr().err
    assert not samples.exists()


def test_a_dry_run_and_a_recipe_without_prompts_do_nothing(model, tmp_path, capsys):
    recipe, samples = write_sample_recipe(tmp_path, model, PROMPTS)
    assert main(["sample", str(recipe), "--dry-run"]) == 0
    assert "4 answers, 64x32" in capsys.readouterr().out
    assert main(["sample", str(recipe), "--set", "sample.prompts=[]"]) == 0
    assert not samples.exists()


def test_text_chunks_hold_any_language():
    import io

    texts = {"prompt": "円 und Würfel", "seed": 7, "turns": [["user", "ö"]], "image_guidance": None}
    with Image.open(io.BytesIO(to_png(np.zeros((2, 3, 3), np.uint8), texts))) as picture:
        assert picture.size == (3, 2)
        assert picture.text == {"prompt": "円 und Würfel", "seed": "7", "turns": '[["user", "ö"]]'}


def test_a_caption_is_asked_for_in_the_words_of_training(model, tmp_path):
    recipe, _ = write_sample_recipe(tmp_path, model, PROMPTS)
    [one, *_] = plan_requests(load_recipe(str(recipe), []), plain_prompts(["a cube"], "here"), model)
    assert one.turns[0].content == (text_to_image_prompt("a cube", (64, 32)),)
