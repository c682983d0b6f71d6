"""Grids of pictures drawn while a model trains, and what TensorBoard reads of a run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import IMAGES, SCALARS, EventAccumulator

from jobs.__main__ import main
from jobs.lm.grid import GAP, lay_out_pictures, plan_grid
from jobs.lm.options import SampleOptions, TrainOptions
from jobs.lm.train_data import open_data
from jobs.recipe import load_recipe
from pipeline.errors import RecipeError
from tests.jobs.lm.tiny import mixed_sequences, text_to_image_sequences
from tests.jobs.test_train import write_train_recipe
from tests.token_output import write_output

TRAIN = """
steps = 4
checkpoint_every = 2
keep = 9
grid_every = 2
grid_count = 2
tensorboard = true
held_out_fraction = 0.4
eval_every = 2
"""
SAMPLE = "guidance = 2.0\nimage_top_k = 50\nbatch_size = 2\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was killed behind step 3, and the run itself."""
    recipe, output = write_train_recipe(tmp_path_factory.mktemp("grid"), TRAIN, SAMPLE)
    write_output(output, text_to_image_sequences(12))
    assert main(["train", str(recipe)]) == 0
    shutil.copytree(output, output.parent / "killed")
    killed = output.parent / "killed" / "train"
    shutil.rmtree(killed / "step-000004")
    for grid in (killed / "grids").iterdir():
        grid.unlink()
    assert main(["train", str(recipe), "--set", f"output={output.parent / 'killed'}"]) == 0
    return recipe, output / "train", killed


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_grids_show_the_originals_and_what_is_drawn_for_held_out_captions(trained):
    recipe_path, train, _ = trained
    assert sorted(path.name for path in (train / "grids").iterdir()) == ["step-000002.png", "step-000004.png"]
    recipe = load_recipe(str(recipe_path), [])
    data = open_data(recipe.output, recipe.train, recipe.seed)
    with Image.open(train / "grids" / "step-000004.png") as picture:
        said = picture.text
        sheet = np.asarray(picture)
    held_out = {data.shards.read(int(number)).caption for number in data.held_out}
    captions = [said[f"caption {number}"] for number in (1, 2)]
    assert set(captions) <= held_out and len(set(captions)) == 2
    expected = {"step": "4", "seed": "3", "captions from": "held out", "guidance": "2.0", "temperature": "1.0", "image_top_k": "50"}
    assert expected.items() <= said.items()
    [original] = [sequence for sequence in map(data.shards.read, data.held_out.tolist()) if sequence.caption == captions[0]]
    from tokenizer.layout import ids_to_image

    vq = recipe.vq.load()
    [image] = original.images
    codes = ids_to_image(original.input_ids[image.start : image.start + 3 + 4 * 5 + 1], data.vocab)
    assert np.array_equal(sheet[:64, :64], vq.decode(codes[None])[0])
    assert sheet[:64, 64:128].std() > 1


def test_a_grid_has_the_same_noise_each_time_and_comes_again_the_same_on_a_resumed_run(trained):
    _, train, killed = trained
    assert [path.name for path in (killed / "grids").iterdir()] == ["step-000004.png"]
    assert (killed / "grids" / "step-000004.png").read_bytes() == (train / "grids" / "step-000004.png").read_bytes()
    one, other = (pixels(train / "grids" / f"step-00000{step}.png") for step in (2, 4))
    assert np.array_equal(one[:64, :64], other[:64, :64]), "an original"
    assert not np.array_equal(one, other)


def test_drawing_changes_nothing_in_the_training(trained, tmp_path):
    recipe, train, _ = trained
    shutil.copytree(train.parent / "tokens", tmp_path / "out" / "tokens")
    quiet = ["train.grid_every=0", "train.tensorboard=false", f"output={tmp_path / 'out'}"]
    assert main(["train", str(recipe), *(part for change in quiet for part in ("--set", change))]) == 0
    last = "step-000004/model.safetensors"
    assert (tmp_path / "out" / "train" / last).read_bytes() == (train / last).read_bytes()
    assert sorted(path.name for path in (tmp_path / "out" / "train").glob("[gt]*")) == []


def test_tensorboard_reads_the_log_and_no_step_twice(trained):
    for folder in trained[1:]:
        events = EventAccumulator(str(folder / "tensorboard"), size_guidance={SCALARS: 0, IMAGES: 0}).Reload()
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for tag, name in {"train/loss": "loss", "train/grad_norm": "grad_norm", "held_out/loss": "held_out_loss"}.items():
            wanted = [(line["step"], line[name]) for line in log if name in line]
            found = [(event.step, event.value) for event in events.Scalars(tag)]
            assert [step for step, _ in found] == [step for step, _ in wanted]
            assert [value for _, value in found] == pytest.approx([value for _, value in wanted])
        assert {"loss/text_to_image", "held_out/text_to_image", "train/tokens_per_second"} <= set(events.Tags()["scalars"])
        assert [event.step for event in events.Images("grid")] == [2, 4]
        assert (events.Images("grid")[1].height, events.Images("grid")[1].width) == pixels(folder / "grids" / "step-000004.png").shape[:2]


def plan(output: Path, *, count: int = 3, held_out: float = 0.0, max_tokens: int = 512):
    data = open_data(str(output), TrainOptions(held_out_fraction=held_out), 7)
    asked = {"num_codes": 99999, "load_vq": lambda: None, "max_tokens": max_tokens}
    return plan_grid(data, SampleOptions(seed=5), count=count, seed=1, **asked)


def test_captions_are_those_of_held_out_pictures_or_else_of_others(tmp_path):
    write_output(tmp_path, mixed_sequences(16))
    grid = plan(tmp_path)
    assert [request.caption for request in grid.requests] == ["0 red circles", "4 red circles", "8 red circles"]
    assert (grid.are_held_out, grid.seed) == (False, 5)
    grid = plan(tmp_path, count=99)
    assert len(grid.requests) == 5, "a caption once"
    assert [request.size for request in grid.requests][:3] == [(64, 64), (96, 32), (64, 64)]
    assert [codes.shape for codes in grid.originals][:3] == [(4, 4), (2, 6), (4, 4)]
    assert plan(tmp_path, held_out=0.5).are_held_out


def test_without_a_picture_to_draw_a_grid_is_refused(tmp_path, capsys):
    write_output(tmp_path / "text", [sequence for sequence in mixed_sequences(8) if sequence.task == "text_only"])
    with pytest.raises(RecipeError, match=r"grid_every: .* has no sequence of task text_to_image"):
        plan(tmp_path / "text")
    write_output(tmp_path / "long", text_to_image_sequences(2))
    with pytest.raises(RecipeError, match="grid_every"):
        plan(tmp_path / "long", max_tokens=30)


def test_a_sheet_is_about_as_wide_as_high():
    assert lay_out_pictures([np.zeros((32, 64, 3), np.uint8)] * 8).shape == (4 * 32 + 3 * GAP, 2 * 64 + GAP, 3)
    uneven = lay_out_pictures([np.zeros((32, 64, 3), np.uint8), np.zeros((64, 32, 3), np.uint8)])
    assert uneven.shape == (2 * 64 + GAP, 64, 3)
    assert (uneven[32 : 64 + GAP] == 255).all() and not uneven[:32].any() and not uneven[64 + GAP :, :32].any()


def test_a_missing_tensorboard_is_refused(tmp_path, monkeypatch, capsys):
    recipe, output = write_train_recipe(tmp_path, "steps = 1\ntensorboard = true")
    write_output(output, text_to_image_sequences(4))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["train", str(recipe)]) == 2
    assert 'pip install "mgpt[tensorboard]"' in capsys.readouterr().err
    assert not (output / "train").exists()
