"""`mgpt prepare` from the outside: the golden ids, the same bytes whatever happens, and every sample accounted for."""

import json
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from pipeline.shards.reader import TokenShards
from tests.broken_pictures import BROKEN
from tests.forked import Forked, fork_command
from tests.jobs.recipes import GOLDEN, token_digests, write_recipe

SHAPES = 'kind = "shapes"\ncount = 24\nsizes = ["64x64"]'
SMALL_UNITS = "[run]\nunit_size = 4\n"


def test_the_golden_conversations_come_out_to_the_id(tmp_path, golden):
    items = [
        {"id": item["name"], "conversations": item["conversations"], "image": [str(GOLDEN / name) for name in item["images"]]}
        for item in golden["conversations"]
    ]
    (tmp_path / "items.json").write_text(json.dumps(items))
    source = f'kind = "conversations"\npath = "{tmp_path}/items.json"'
    recipe, output = write_recipe(tmp_path, source, tokens="target_size = 256", rest='[[task]]\nkind = "conversation"')
    assert main(["prepare", str(recipe)]) == 0
    shards, different = TokenShards(str(output)), set()
    for item in golden["conversations"]:
        [number] = shards.find(item["name"])
        sequence = shards.read(number)
        assert [list(span) for span in sequence.loss_spans] == item["loss_spans"]
        assert len(sequence.input_ids) == len(item["input_ids"])
        differ = np.flatnonzero(sequence.input_ids != np.array(item["input_ids"]))
        assert all(4 <= sequence.input_ids[place] <= 8195 and 4 <= item["input_ids"][place] <= 8195 for place in differ)
        different |= {(int(sequence.input_ids[place]), item["input_ids"][place]) for place in differ}
    # near ties, by processor; one in a picture that several conversations show counts once
    assert len(different) * 1000 <= sum(len(item["input_ids"]) for item in golden["conversations"])


def test_both_executors_and_any_number_of_workers_give_the_same_bytes(tmp_path, ray_cluster):
    digests = []
    for name, run in {
        "inprocess": 'executor = "inprocess"',
        "ray_1": 'executor = "ray"\nworkers = 1',
        "ray_2": 'executor = "ray"\nworkers = 2',
    }.items():
        recipe, output = write_recipe(tmp_path / name, SHAPES, rest=f"[run]\nunit_size = 4\n{run}")
        assert main(["prepare", str(recipe)]) == 0
        digests.append(token_digests(output))
    assert len(digests[0]) == 4
    assert digests[0] == digests[1] == digests[2]


def test_a_run_killed_three_times_ends_in_the_same_bytes(tmp_path):
    quiet, quiet_output = write_recipe(tmp_path / "quiet", SHAPES, rest=SMALL_UNITS)
    assert main(["prepare", str(quiet)]) == 0
    recipe, output = write_recipe(tmp_path / "killed", SHAPES, rest=SMALL_UNITS)
    for done in (1, 2, 4):
        process = start(recipe)
        wait_for_units(output, done, process)
        process.kill()
    assert not (output / "tokens" / "manifest.json").exists()
    assert main(["prepare", str(recipe)]) == 0
    assert token_digests(output) == token_digests(quiet_output)
    assert not [path for path in output.rglob("*") if path.name.endswith(".tmp") or "_work" in path.parts]


@pytest.mark.parametrize("signal_number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so_and_can_be_completed(tmp_path, signal_number, code):
    recipe, output = write_recipe(tmp_path, SHAPES, rest=SMALL_UNITS)
    process = start(recipe)
    wait_for_units(output, 1, process)
    process.signal(signal_number)
    assert process.finish()[0] == code
    assert main(["prepare", str(recipe)]) == 0
    assert len(TokenShards(str(output))) == 24


def test_a_changed_recipe_on_the_same_output_is_refused_by_name(tmp_path, capsys):
    recipe, output = write_recipe(tmp_path, SHAPES)
    assert main(["prepare", str(recipe)]) == 0
    before = token_digests(output)
    assert main(["prepare", str(recipe), "--set", "tokens.target_size=96"]) == 5
    assert "tokens.target_size was 64, the recipe now says 96" in capsys.readouterr().err
    assert main(["prepare", str(recipe), "--set", "run.max_failed_fraction=0.5"]) == 0  # leaves no trace in the data
    assert token_digests(output) == before


def test_a_changed_input_is_refused_by_name(tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("astronaut_x1", "gray"):
        (pictures / f"{name}.png").write_bytes((GOLDEN / "images" / f"{name}.png").read_bytes())
        (pictures / f"{name}.txt").write_text("a picture of something")
    recipe, _ = write_recipe(tmp_path, f'kind = "folder"\npath = "{pictures}"')
    assert main(["prepare", str(recipe)]) == 0
    (pictures / "gray.png").write_bytes((GOLDEN / "images" / "rgba.png").read_bytes())
    assert main(["prepare", str(recipe)]) == 5
    assert f"input.{pictures}" in capsys.readouterr().err


def test_broken_pictures_cost_only_themselves(tmp_path):
    """1,000 pictures of which 100 are broken in at least 15 ways."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    good = small_pictures(30)
    kinds = sorted(BROKEN)
    assert len(kinds) >= 15
    wanted = {}
    for number in range(1000):
        name = f"{number:04d}"
        if number % 10 == 7:
            make, reason = BROKEN[kinds[number // 10 % len(kinds)]]
            data = make()
            wanted[name] = reason
        else:
            data = good[number % len(good)]
        (pictures / f"{name}.jpg").write_bytes(data)
        (pictures / f"{name}.txt").write_text(f"picture number {number} of a thousand")
    source = f'kind = "folder"\npath = "{pictures}"'
    recipe, output = write_recipe(tmp_path, source, rest="[run]\nunit_size = 300\nmax_failed_fraction = 0.1\n")
    assert main(["prepare", str(recipe)]) == 0
    rows = pq.read_table(output / "ledger").to_pylist()
    assert {row["key"]: row["reason"] for row in rows if row["disposition"] == "failed"} == wanted
    assert all(row["error_message"] for row in rows if row["disposition"] == "failed")
    shards = TokenShards(str(output))
    assert len(shards) == 900 == sum(row["disposition"] == "accepted" for row in rows)
    assert len(rows) == 1000
    assert main(["prepare", str(recipe), "--set", "run.max_failed_fraction=0.099"]) == 3


def test_a_key_that_two_units_share_is_kept_once(tmp_path):
    parts = []
    for number in range(2):
        folder = tmp_path / f"part_{number}"
        folder.mkdir()
        (folder / "same.png").write_bytes((GOLDEN / "images" / "gray.png").read_bytes())
        (folder / "same.txt").write_text("a gray picture of something")
        parts.append(f'[[source]]\nkind = "folder"\npath = "{folder}"\n')
    recipe = tmp_path / "recipe.toml"
    plain, output = write_recipe(tmp_path, 'kind = "shapes"', rest="[run]\nmax_failed_fraction = 0.5\n")
    recipe.write_text(plain.read_text().replace('[source]\nkind = "shapes"', "".join(parts)))
    assert main(["prepare", str(recipe)]) == 0
    rows = pq.read_table(output / "ledger").to_pylist()
    assert [(row["disposition"], row["reason"]) for row in rows] == [("accepted", ""), ("failed", "duplicate_key")]
    assert len(TokenShards(str(output))) == 1


def test_a_sequence_over_the_limit_is_dropped_and_counted(tmp_path):
    recipe, output = write_recipe(tmp_path, SHAPES, tokens="target_size = 64\nmax_tokens = 70")
    assert main(["prepare", str(recipe)]) == 0
    rows = pq.read_table(output / "ledger").to_pylist()
    long = [row for row in rows if row["sequence_tokens"] > 70]
    assert 0 < len(long) < len(rows)
    assert {row["reason"] for row in long} == {"too_long"}
    assert all(row["disposition"] == "accepted" for row in rows if row not in long)
    assert max(len(TokenShards(str(output)).input_ids(i)) for i in range(len(rows) - len(long))) <= 70


@pytest.mark.parametrize("executor", ["inprocess", "ray"])
def test_a_wrong_checkpoint_is_a_clear_error_from_both_executors(tmp_path, ray_cluster, capsys, executor):
    config = (GOLDEN / "tokenizer" / "vqgan.yaml").read_text().replace("num_res_blocks: 2", "num_res_blocks: 1")
    (tmp_path / "other.yaml").write_text(config)
    recipe, _ = write_recipe(tmp_path, SHAPES)
    assert main(["prepare", str(recipe), "--set", f"tokens.vq.config={tmp_path}/other.yaml", "--set", f"run.executor={executor}"]) == 2
    assert "vqgan.ckpt" in (message := capsys.readouterr().err)
    assert "unexpected decoder.up.0.block.2" in message


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    recipe, output = write_recipe(tmp_path, SHAPES)
    assert main(["prepare", str(recipe), "--dry-run"]) == 0
    assert "24 samples in 1 units" in capsys.readouterr().out
    assert not output.exists()


def start(recipe: Path) -> Forked:
    """`mgpt prepare` in a process of its own."""
    return fork_command(recipe.with_suffix(".words"), "prepare", str(recipe))


def wait_for_units(output: Path, number: int, process: Forked) -> None:
    """Wait until so many units are committed; the run must still be under way."""
    process.wait_for(lambda: len(list(output.glob("_work/*.json"))) >= number)


def small_pictures(count: int) -> list[bytes]:
    """Encoded noise over a gradient, each different."""
    import io

    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = []
    for number in range(count):
        pixels = np.linspace(0, 200, 72 * 80 * 3).reshape(72, 80, 3) + rng.integers(0, 55, (72, 80, 3))
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=80 + number % 15)
        pictures.append(file.getvalue())
    return pictures
