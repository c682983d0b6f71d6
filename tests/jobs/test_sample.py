"""`mgpt sample` from the outside: pictures with their settings, done once, refused with a reason."""

import json

import numpy as np
import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.sample import to_png
from tests.jobs.lm.tiny import text_to_image_sequences
from tests.jobs.test_train import write_train_recipe
from tests.token_output import write_output

SAMPLE = """
prompts = ["a red circle", "ein grüner Würfel"]
size = "64x32"
num_per_prompt = 2
guidance = 2.0
image_top_k = 100
batch_size = 3
"""


@pytest.fixture
def trained(tmp_path):
    recipe, output = write_train_recipe(tmp_path, "steps = 2", SAMPLE)
    write_output(output, text_to_image_sequences(4))
    assert main(["train", str(recipe)]) == 0
    return recipe, output / "samples"


def test_pictures_come_with_their_prompt_and_settings(trained):
    recipe, samples = trained
    assert main(["sample", str(recipe)]) == 0
    lines = [json.loads(line) for line in (samples / "samples.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["0000.png", "0001.png", "0002.png", "0003.png"]
    assert [line["prompt"] for line in lines] == ["a red circle"] * 2 + ["ein grüner Würfel"] * 2
    for line in lines:
        with Image.open(samples / line["file"]) as picture:
            assert picture.size == (64, 32)
            assert picture.text == {name: str(value) for name, value in line.items()}
            assert np.asarray(picture).std() > 1
        assert (line["seed"], line["guidance"], line["size"]) == (3, 2.0, "64x32")
        assert line["checkpoint"].endswith("train/step-000002")
    assert sorted(path.name for path in samples.iterdir()) == [*(line["file"] for line in lines), "samples.jsonl"]


def test_pictures_do_not_depend_on_the_batch(trained):
    recipe, samples = trained
    assert main(["sample", str(recipe)]) == 0
    before = pixels(samples)
    (samples / "samples.jsonl").unlink()
    assert main(["sample", str(recipe), "--set", "sample.batch_size=1"]) == 0
    assert pixels(samples) == before
    assert main(["sample", str(recipe), "--set", "sample.seed=4"]) == 0
    assert pixels(samples) != before


def test_what_is_sampled_is_not_sampled_again_and_what_changed_is_replaced(trained, capsys):
    recipe, samples = trained
    assert main(["sample", str(recipe)]) == 0
    times = {path: path.stat().st_mtime_ns for path in samples.iterdir()}
    assert main(["sample", str(recipe)]) == 0
    assert "already done, 4 pictures" in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in samples.iterdir()}
    assert main(["sample", str(recipe), "--set", "sample.num_per_prompt=1"]) == 0
    assert sorted(path.name for path in samples.iterdir()) == ["0000.png", "0001.png", "samples.jsonl"]
    (samples / "0001.png").unlink()
    assert main(["sample", str(recipe), "--set", "sample.num_per_prompt=1"]) == 0
    assert (samples / "0001.png").exists()


def test_a_named_model_folder_is_sampled_from(trained, tmp_path):
    recipe, samples = trained
    (samples.parent / "train" / "step-000002").rename(tmp_path / "model")
    assert main(["sample", str(recipe)]) == 2
    assert main(["sample", str(recipe), "--set", f"sample.checkpoint={tmp_path / 'model'}"]) == 0
    assert len(list(samples.glob("*.png"))) == 4


def test_what_cannot_be_sampled_is_refused(tmp_path, capsys):
    recipe, _ = write_train_recipe(tmp_path, "steps = 2", SAMPLE)
    for change, message in {
        "sample.size=64x30": "multiples of 32",
        "sample.size=large": "width x height is wanted",
        "sample.guidance=-1": "sample.guidance: 0 or more is wanted",
        "sample.checkpoint=nowhere": "no model folder",
        "sample.num_per_prompt=1": "no checkpoint; run `mgpt train` first",
    }.items():
        assert main(["sample", str(recipe), "--set", change]) == 2
        assert message in capsys.readouterr().err


def test_a_dry_run_and_a_recipe_without_prompts_do_nothing(tmp_path, capsys):
    recipe, output = write_train_recipe(tmp_path, "steps = 2", SAMPLE)
    assert main(["sample", str(recipe), "--dry-run"]) == 0
    assert "4 pictures of 64x32" in capsys.readouterr().out
    assert main(["sample", str(recipe), "--set", "sample.prompts=[]"]) == 0
    assert not output.exists()


def test_text_chunks_hold_any_language():
    import io

    with Image.open(io.BytesIO(to_png(np.zeros((2, 3, 3), np.uint8), {"prompt": "円 und Würfel", "seed": 7}))) as picture:
        assert picture.size == (3, 2)
        assert picture.text == {"prompt": "円 und Würfel", "seed": "7"}


def pixels(samples) -> list[bytes]:
    return [Image.open(path).tobytes() for path in sorted(samples.glob("*.png"))]
