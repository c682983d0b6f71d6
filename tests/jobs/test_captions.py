"""Captions through `mgpt prepare`: in the ledger with their provenance, mixed into the tokens, the same bytes from both executors."""

import hashlib
import json
from pathlib import Path

import open_clip
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from jobs.__main__ import main
from jobs.recipe import load_recipe
from pipeline.errors import RecipeError
from pipeline.shards.reader import TokenShards
from tests.filters.annotators import tiny_captioners
from tests.filters.annotators.chat_server import MODEL, serving, wide
from tests.filters.annotators.pictures import picture
from tests.filters.clip_models import write_clip
from tests.jobs.recipes import ROOT, write_recipe

LOCAL = """
[run]
executor = "{executor}"
unit_size = 4
[[annotator]]
kind = "caption"
model = "{model}"
name = "tiny"
max_new_tokens = 8
temperature = 1.0
num_captions = 2
batch_size = 3
truncated = "keep"
"""
SERVER = """
[run]
executor = "{executor}"
unit_size = 4
max_failed_fraction = 0.5
[[annotator]]
kind = "caption_server"
url = "{url}"
model = "org/captioner"
cache = "{cache}"
concurrency = 2
first_wait_seconds = 0.01
"""


def digests(output: Path) -> dict[str, str]:
    files = (path for name in ("tokens", "ledger") for path in sorted((output / name).rglob("*")))
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(output: Path) -> dict[str, dict]:
    return {row["key"]: row | {"captions": json.loads(row["captions"] or "[]")} for row in pq.read_table(output / "ledger").to_pylist()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Ten pictures with captions; the width says which, see chat_server."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(10):
        (folder / f"{number:03}.png").write_bytes(wide(number).images["image"])
        (folder / f"{number:03}.txt").write_text(f"original {number}")
    return folder


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    return tiny_captioners.save_blip(tmp_path_factory.mktemp("blip"))


def recipe_in(folder, pictures, rest):
    return write_recipe(folder, f'kind = "folder"\npath = "{pictures}"', rest=rest)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, pictures, blip):
    recipe, output = recipe_in(tmp_path_factory.mktemp("quiet"), pictures, LOCAL.format(executor="inprocess", model=blip))
    assert main(["prepare", str(recipe)]) == 0
    return output


def test_every_caption_is_in_the_ledger_and_the_one_that_was_used_in_the_tokens(quiet, blip):
    ledger = rows(quiet)
    assert all(row["caption"] == f"original {int(key)}" for key, row in ledger.items())
    assert all([c["source"] for c in row["captions"]] == ["tiny", "tiny"] and not row["captions"][0]["flaw"] for row in ledger.values())
    sequences = [TokenShards(str(quiet)).read(number) for number in range(10)]
    sources = {sequence.key: sequence.metadata["caption_source"] for sequence in sequences}
    assert set(sources.values()) == {"original", "tiny"}
    for sequence in sequences:
        row = ledger[sequence.key]
        if sources[sequence.key] == "original":
            assert sequence.caption == row["caption"] and "caption_provenance" not in sequence.metadata
        else:
            [used] = {c["finish"]: c for c in row["captions"] if c["text"] == sequence.caption}.values()
            wanted = {"model": str(blip), "finish": used["finish"], "num_tokens": used["num_tokens"]}
            assert sequence.metadata["caption_provenance"] == wanted
    assert main(["inspect", "verify", str(quiet)]) == 0


def test_generated_captions_have_the_clip_score_that_open_clip_gives_them(tmp_path, pictures, blip):
    name = write_clip(tmp_path / "clip")
    rest = LOCAL.format(executor="inprocess", model=blip) + f'[clip]\nmodel = "{name}"\n'
    recipe, output = recipe_in(tmp_path, pictures, rest)
    assert main(["prepare", str(recipe)]) == 0
    network, _, prepare = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    for key, row in rows(output).items():
        with torch.no_grad():
            image = network.eval().encode_image(prepare(Image.open(pictures / f"{key}.png").convert("RGB"))[None], normalize=True)
            texts = network.encode_text(tokenizer([caption["text"] for caption in row["captions"]]), normalize=True)
        assert [caption["clip_score"] for caption in row["captions"]] == pytest.approx((texts @ image.T)[:, 0].tolist(), abs=1e-5)
    used = [TokenShards(str(output)).read(number).metadata for number in range(10)]
    assert all("clip_score" in row["caption_provenance"] for row in used if row["caption_source"] == "tiny")
    strict = ["--set", "tokens.min_caption_score=1.0", "--set", f"output={tmp_path}/strict"]
    assert main(["prepare", str(recipe), *strict]) == 0
    assert {TokenShards(str(tmp_path / "strict")).read(number).metadata["caption_source"] for number in range(10)} == {"original"}


def test_ray_gives_the_same_bytes(tmp_path, pictures, quiet, blip, ray_cluster):
    recipe, output = recipe_in(tmp_path, pictures, LOCAL.format(executor="ray", model=blip))
    assert main(["prepare", str(recipe)]) == 0
    assert digests(output) == digests(quiet)


def test_captions_of_a_server_are_the_same_from_both_executors_and_cost_once(tmp_path, pictures, ray_cluster):
    plans = {1: ["500", "ok"], 2: ["400"], 3: ["say I'm sorry, but I can't."], 4: ["length"]}
    with serving(plans=plans) as server:
        outputs = []
        for executor in ("inprocess", "ray"):
            rest = SERVER.format(executor=executor, url=server.url, cache=tmp_path / "cache")
            recipe, output = recipe_in(tmp_path / executor, pictures, rest)
            assert main(["prepare", str(recipe)]) == 0
            outputs.append(output)
    assert digests(outputs[0]) == digests(outputs[1])
    ledger = rows(outputs[0])
    failed = {key: (row["stage"], row["reason"]) for key, row in ledger.items() if row["disposition"] == "failed"}
    assert failed == {"002": ("caption_server", "caption_request_refused"), "003": ("caption_server", "caption_refused")}
    assert "I'm sorry, but I can't." in ledger["003"]["error_message"]
    assert ledger["004"]["captions"][0]["text"] == "Picture 4 is red." and ledger["001"]["captions"][0]["model"] == MODEL
    assert {number: server.asked[number] for number in range(10)} == {0: 1, 1: 2, 2: 2, **dict.fromkeys(range(3, 10), 1)}
    assert main(["inspect", "verify", str(outputs[0])]) == 0


@pytest.mark.parametrize("executor", ["inprocess", "ray"])
def test_a_prompt_that_the_model_cannot_take_ends_the_run_as_the_recipes_fault(tmp_path, pictures, executor, ray_cluster):
    model = tiny_captioners.save_llava(tmp_path / "llava", with_template=False)
    rest = LOCAL.format(executor=executor, model=model) + 'prompt = "describe this"\n'
    recipe, output = recipe_in(tmp_path, pictures, rest)
    assert main(["prepare", str(recipe)]) == 2
    assert not (output / "tokens" / "manifest.json").exists()


def test_a_broken_picture_fails_before_it_is_captioned(tmp_path, blip):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(picture(number)[: 200 if number == 2 else None])
        (folder / f"{number}.txt").write_text("words")
    recipe, output = recipe_in(tmp_path, folder, LOCAL.format(executor="inprocess", model=blip))
    assert main(["prepare", str(recipe)]) == 3
    ledger = rows(output)
    assert (ledger["2"]["stage"], ledger["2"]["reason"]) == ("caption", "broken_image")
    assert [key for key, row in ledger.items() if row["disposition"] == "accepted"] == ["0", "1", "3"]


def test_a_server_that_has_moved_does_not_end_a_run_and_another_prompt_does(tmp_path, pictures):
    def identity(*changes):
        rest = SERVER.format(executor="inprocess", url="http://one:8000/v1", cache=tmp_path)
        recipe, _ = recipe_in(tmp_path, pictures, rest)
        return load_recipe(str(recipe), [f"annotator.0.{change}" for change in changes]).data_identity()

    moved = identity('url="http://other:1/v1"', "concurrency=3", "max_failures=9", 'api_key_file="key"', 'cache=""')
    assert moved == identity() != identity('prompt="Say it in one word."')


def test_other_weights_in_the_folder_are_another_run(tmp_path, pictures):
    model = tiny_captioners.save_llava(tmp_path / "llava")
    recipe, _ = recipe_in(tmp_path, pictures, LOCAL.format(executor="inprocess", model=model))
    before = load_recipe(str(recipe), []).data_identity()
    assert load_recipe(str(recipe), []).data_identity() == before
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert load_recipe(str(recipe), []).data_identity() != before


def test_two_captioners_of_a_kind_want_two_names(tmp_path, pictures):
    first, second = (f'[[annotator]]\nkind = "caption"\nmodel = "x"\nname = "{name}"\n' for name in ("short", "long"))
    recipe, _ = recipe_in(tmp_path, pictures, first + second)
    assert [item.name for _, item in load_recipe(str(recipe), []).annotators] == ["short", "long"]
    with pytest.raises(RecipeError, match=r"annotator\[1\]: caption is listed twice"):
        load_recipe(str(recipe), ['annotator.1.name="short"'])


def test_a_model_that_is_not_there_is_refused_before_any_work(tmp_path, pictures):
    recipe, output = recipe_in(tmp_path, pictures, LOCAL.format(executor="inprocess", model=tmp_path / "nowhere"))
    assert main(["prepare", str(recipe)]) == 2
    assert not output.exists()


def test_the_snippets_of_the_page_about_captions_are_recipes(tmp_path):
    page = (ROOT / "docs" / "captions.md").read_text()
    snippets = [part.partition("```")[0] for part in page.split("```toml\n")[1:]]
    assert len(snippets) >= 3
    for number, snippet in enumerate(snippets):
        recipe = tmp_path / f"{number}.toml"
        recipe.write_text(f'output = "{tmp_path}/out"\n{snippet}')
        loaded = load_recipe(str(recipe), [])
        assert loaded.annotators or loaded.tokens.captions != {"original": 0.5, "generated": 0.5}
    with pytest.raises(RecipeError, match="unknown key"):
        recipe.write_text(f'output = "x"\n{snippets[0]}\nbatch = 3\n')
        load_recipe(str(recipe), [])
