"""Whole runs of Omni-SFT: the example is reproduced byte for byte and has its mixture, long dialogues are kept or counted."""

import json

import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from jobs.inspection.mixture import read_mixture
from jobs.recipe import load_recipe
from pipeline.samples import IMAGE_MARK
from pipeline.shards.reader import TokenShards
from pipeline.sources.shapes import Shapes
from tests.jobs.recipes import ROOT, token_digests

EXAMPLE = ROOT / "examples" / "omni_sft.toml"
SMALL = (
    "source.0.count=60",
    "source.1.count=4",
    "tokens.target_size=64",
    "run.unit_size=20",
    "run.max_failed_fraction=0.0",
    "annotator=[]",
)
SIDE = 768  # pixels of the pictures of a long dialogue
TOKENS_A_PICTURE = 48 * 48 + 48 + 4  # codes, an end of line for each row; begin, two sizes and end


@pytest.fixture
def at_home(monkeypatch):
    """In the folder that the recipe's paths begin at."""
    monkeypatch.chdir(ROOT)


def prepare(output, *overrides: str) -> int:
    settings = [part for setting in (*SMALL, f"output={output}", *overrides) for part in ("--set", setting)]
    return main(["prepare", str(EXAMPLE), *settings])


def test_the_example_feeds_every_task_in_its_share_and_is_the_same_with_two_workers(tmp_path, at_home, one_thread, ray_cluster):
    runs = {"one": (), "again": (), "ray": ('run.executor="ray"', "run.workers=2")}
    for name, overrides in runs.items():
        assert prepare(tmp_path / name, *overrides) == 0
    digests = [token_digests(tmp_path / name) for name in runs]
    assert digests[0] and all(other == digests[0] for other in digests[1:])
    mixture = read_mixture(str(tmp_path / "one"))
    assert mixture.largest_difference <= 0.02
    assert all(task.sequences for task in mixture.tasks)
    assert {task.task for task in mixture.tasks} == {task.kind for task in load_recipe(str(EXAMPLE), []).tasks}
    for verb in ("verify", "lint"):
        assert main(["inspect", verb, str(tmp_path / "one")]) == 0


@pytest.fixture(scope="module")
def long_dialogues(tmp_path_factory):
    """A recipe of two dialogues: one about four large pictures, in both sides' turns, and one about a single one."""
    folder = tmp_path_factory.mktemp("long")
    scenes = Shapes(4, seed=1, sizes=(f"{SIDE}x{SIDE}",))
    captions = []
    for number in range(4):
        sample = scenes.draw(str(number))
        (folder / f"{number}.png").write_bytes(sample.images["image"])
        captions.append(sample.caption)
    first = [
        {"from": "human", "value": f"{IMAGE_MARK} and {IMAGE_MARK}: what do these show?"},
        {"from": "gpt", "value": " and ".join(captions[:2])},
    ]
    more = [{"from": "human", "value": "Show me two more."}, {"from": "gpt", "value": f"{IMAGE_MARK}{IMAGE_MARK}"}]
    single = [{"from": "human", "value": f"What is this? {IMAGE_MARK}"}, {"from": "gpt", "value": captions[0]}]
    items = [
        {"id": "four", "image": [f"{number}.png" for number in range(4)], "conversations": first + more},
        {"id": "single", "image": ["0.png"], "conversations": single},
    ]
    (folder / "items.json").write_text(json.dumps(items))
    recipe = folder / "recipe.toml"
    recipe.write_text(f'''
seed = 1
[source]
kind = "conversations"
path = "{folder}/items.json"
[tokens]
target_size = {SIDE}
[[task]]
kind = "conversation"
''')
    return recipe


@pytest.mark.parametrize("max_tokens, kept", [(12_288, ["four", "single"]), (8192, ["single"])])
def test_four_pictures_of_768_are_kept_whole_where_they_fit_and_else_dropped_and_counted(
    tmp_path, long_dialogues, one_thread, max_tokens, kept
):
    output = tmp_path / "out"
    settings = [part for setting in (f"output={output}", f"tokens.max_tokens={max_tokens}") for part in ("--set", setting)]
    assert main(["prepare", str(long_dialogues), *settings]) == 0
    shards = TokenShards(str(output))
    rows = {row["key"]: row for row in pq.read_table(output / "ledger").to_pylist()}
    assert {key for key in ("four", "single") if shards.find(key)} == set(kept)
    assert {key for key, row in rows.items() if row["disposition"] == "accepted"} == set(kept)
    counts = shards.manifest.counts
    assert (counts["input"], counts["accepted"], counts["rejected"], counts["failed"]) == (2, len(kept), 2 - len(kept), 0)
    if "four" in kept:
        [sequence] = [shards.read(number) for number in shards.find("four")]
        assert [(image.height, image.width) for image in sequence.images] == [(SIDE, SIDE)] * 4
        assert 4 * TOKENS_A_PICTURE < len(sequence.input_ids) < 4 * TOKENS_A_PICTURE + 200
        assert 2 * TOKENS_A_PICTURE < sequence.num_loss_tokens < 2 * TOKENS_A_PICTURE + 100
        assert rows["four"]["tokens"] == rows["four"]["sequence_tokens"] == len(sequence.input_ids)
    else:
        assert (rows["four"]["disposition"], rows["four"]["reason"], rows["four"]["stage"]) == ("rejected", "too_long", "tokenize")
        assert max_tokens < rows["four"]["sequence_tokens"] < 12_288
    for verb in ("verify", "lint"):
        assert main(["inspect", verb, str(output)]) == 0
