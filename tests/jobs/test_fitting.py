"""`mgpt fit-vq` and `mgpt fit-text`: a recipe in, a tokenizer out."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from jobs.__main__ import main
from tokenizer.vq import ChameleonVQ

ROOT = Path(__file__).parents[2]
VQ_RECIPE = f"""
[fit]
config = "{ROOT}/tokenizer/vq/bundled/vqgan.yaml"
output = "out"
steps = 2
plain_steps = 1
batch_pixels = 16384
threads = 1
report_every = 1
save_every = 1
held_out_size = 64
codebook = {{ kmeans_vectors = 64, kmeans_rounds = 1 }}

[[data]]
source = {{ kind = "shapes", count = 4, sizes = ["128x128"] }}

[[held_out]]
source = {{ kind = "shapes", count = 2, seed = 1, sizes = ["64x64"] }}
"""


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dry_run_says_what_would_be_done_and_does_nothing(in_a_folder, capsys):
    (in_a_folder / "vq.toml").write_text(VQ_RECIPE)
    assert main(["fit-vq", "vq.toml", "--dry-run", "--set", "fit.crop_sizes=['64x64', '64x32']"]) == 0
    said = capsys.readouterr().err
    assert "begins with random weights, learns: all" in said
    assert "2, each with 4 crops of 64x64 or 8 crops of 64x32" in said
    assert "perceptual off, adversarial off" in said
    assert not (in_a_folder / "out").exists()


@pytest.mark.parametrize("name", ["fit_vq.toml", "fit_text.toml"])
def test_the_example_is_a_valid_recipe(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main([name[:-5].replace("_", "-"), f"examples/{name}", "--dry-run"]) == 0


def test_a_quantizer_is_fitted_and_can_be_used(in_a_folder, capsys):
    (in_a_folder / "vq.toml").write_text(VQ_RECIPE)
    assert main(["fit-vq", "vq.toml"]) == 0
    progress = capsys.readouterr().err
    assert "4 pictures, 0 could not be used" in progress
    assert "step 2/2: PSNR" in progress
    vq = ChameleonVQ("out/vqgan.yaml", "out/weights.safetensors").load()
    assert vq.encode(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fit.stepps=3", "fit: unknown key 'stepps'; did you mean 'steps'"),
        ("fit.config=none.yaml", "none.yaml: no such file"),
        ("fit.start_from=none.ckpt", "fit.start_from: none.ckpt: no such file"),
        ("fit.losses.l3=1.0", "fit.losses: unknown key 'l3'"),
        ("data.0.source.kind=tar", "data[0].source: unknown kind 'tar'"),
        ("fit.crop_sizes=['120x128']", "120 pixels a side hold no whole number of codes"),
        ("fit.crop_sizes=['128']", "fit.crop_sizes: wants sizes as '128x128'"),
        ("fit.learns=decoder", "fit.learns: only the decoder is to learn, so start_from must give the rest"),
        ("fit.begin_anew=['encoder']", "fit.begin_anew: says what start_from need not have"),
        ("fit.perceptual.kind=features", "fit.perceptual.model: kind 'features' wants a network"),
        ("fit.perceptual.kind=lpips", "fit.perceptual.model: kind 'lpips' has 'alex', 'vgg' and 'squeeze'"),
        ("fit.adversarial.kind=features", "the features are those of fit.perceptual"),
        ("fit.teacher.config=a.yaml", "fit.teacher.weights: config and weights belong together"),
        (f"fit.teacher={{config='{ROOT}/tokenizer/vq/bundled/vqgan.yaml', weights='none'}}", "fit.teacher.weights: none: no such file"),
        ("fit.losses={l1=0.0, l2=0.0, coarse=0.0, gradient=0.0, energy=0.0}", "nothing judges the pictures, and there is no fit.teacher"),
        ("fit.crop_sizes=[]", "fit.crop_sizes: wants sizes"),
        ("fit.threads=0", "fit.threads: at least 1, got 0"),
        ("fit.swapped_colors=2.0", "fit.swapped_colors: lies in [0, 1]"),
        ("data=[]", "no [[data]] in the recipe"),
        ("held_out.0.weigth=1.0", "held_out[0]: unknown key 'weigth'; did you mean 'weight'"),
        ("train.steps=3", "unknown table 'train'"),
    ],
)
def test_a_wrong_recipe_is_refused_before_any_work(in_a_folder, capsys, change, message):
    (in_a_folder / "vq.toml").write_text(VQ_RECIPE)
    assert main(["fit-vq", "vq.toml", "--set", change]) == 2
    assert message in capsys.readouterr().err
    assert not (in_a_folder / "out").exists()


def test_data_that_cannot_be_used_is_refused(in_a_folder, capsys):
    (in_a_folder / "pictures").mkdir()
    (in_a_folder / "pictures" / "a.png").write_bytes(b"no picture")
    (in_a_folder / "vq.toml").write_text(VQ_RECIPE)
    assert main(["fit-vq", "vq.toml", "--set", "data.0.source={kind='folder', path='pictures'}"]) == 2
    assert "no picture in the source could be used (1 could not)" in capsys.readouterr().err
    assert main(["fit-vq", "vq.toml", "--set", "data.0.source={kind='folder', path='nowhere'}"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_text_tokenizer_is_fitted_and_can_be_used(in_a_folder):
    (in_a_folder / "b.txt").write_text("a red circle and a red square\n" * 5)
    (in_a_folder / "text.toml").write_text('output = "text_tokenizer.json"\nfiles = ["*.txt"]\nvocab_size = 16_654\n')
    assert main(["fit-text", "text.toml"]) == 0
    tokenizer = Tokenizer.from_file("text_tokenizer.json")
    assert tokenizer.get_vocab_size() == 16_654


def test_text_files_that_are_not_there_are_refused(in_a_folder, capsys):
    (in_a_folder / "text.toml").write_text('output = "text_tokenizer.json"\nfiles = ["*.txt"]\n')
    assert main(["fit-text", "text.toml"]) == 2
    assert "'*.txt' names no file" in capsys.readouterr().err
