"""The [train] and [sample] tables: what is refused, by name."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jobs.lm.options import SampleOptions, TrainOptions, parse_size
from pipeline.config import build
from pipeline.errors import RecipeError


@pytest.mark.parametrize(
    "table, message",
    [
        ({"steps": 0}, r"train\.steps: above 0"),
        ({"batch_size": -1}, r"train\.batch_size: above 0"),
        ({"micro_batch": -1}, r"train\.micro_batch: 0 or more"),
        ({"task_weights": {"depth": -1.0}}, r"train\.task_weights\.depth: 0 or more"),
        ({"window": -1}, r"train\.window: 0 or more"),
        ({"learning_rate": 0.0}, r"train\.learning_rate: above 0"),
        ({"dropout": 1.0}, r"train\.dropout: at least 0 and below 1"),
        ({"held_out_fraction": 1.0}, r"train\.held_out_fraction: at least 0 and below 1"),
        ({"context_drop": 1.01}, r"train\.context_drop: from 0 to 1"),
        ({"hidden_size": 30, "num_heads": 4}, r"train\.hidden_size: an even number for each of 4 heads"),
        ({"mixture": {"text_only": -1}}, r"train\.mixture\.text_only: 0 or more"),
        ({"mixture": {"text_only": "1"}}, r"train\.mixture\.text_only: "),
        ({"mixture_by": "sample"}, r"did you mean 'samples'"),
        ({"mixture_by": "samples"}, r"train\.mixture: a share by samples"),
        ({"mixture_by": "tokens", "mixture": {"text_only": 0}}, r"train\.mixture: a share by tokens"),
        ({"epoch_size": 5}, r"train\.epoch_size: train\.mixture_by = "),
        ({"epoch_size": -5, "mixture_by": "samples", "mixture": {"a": 1}}, r"train\.epoch_size: 0 or more"),
        ({"schedule": "linear"}, r"train\.schedule: 'linear' is none of 'constant', 'cosine'"),
        ({"restrict_image_logit": True}, "did you mean 'restrict_image_logits'"),
    ],
)
def test_a_wrong_train_table_is_refused_by_name(table, message):
    with pytest.raises(RecipeError, match=message):
        build(TrainOptions, table, "train")


@pytest.mark.parametrize(
    "table, message",
    [
        ({"size": "512"}, "width x height is wanted"),
        ({"size": "512x"}, "width x height is wanted"),
        ({"size": "512x-32"}, "width x height is wanted"),
        ({"size": "512x500"}, "multiples of 32 pixels up to 16384"),
        ({"size": "0x32"}, "multiples of 32"),
        ({"size": "32x16416"}, "up to 16384"),
        ({"prompts": ["a cat", " "]}, r"sample\.prompts: texts that are not empty"),
        ({"temperature": 0.0}, r"sample\.temperature: above 0"),
        ({"guidance": -0.5}, r"sample\.guidance: 0 or more"),
        ({"jacobi_window": -1}, r"sample\.jacobi_window: 0 or more"),
        ({"seed": -1}, r"sample\.seed: 0 or more"),
        ({"prompts": "a cat"}, r"sample\.prompts: wants "),
    ],
)
def test_a_wrong_sample_table_is_refused_by_name(table, message):
    with pytest.raises(RecipeError, match=message):
        build(SampleOptions, table, "sample")


def test_bounds_themselves_are_allowed():
    build(TrainOptions, {"context_drop": 1.0, "dropout": 0.0, "held_out_fraction": 0.0, "hidden_size": 8, "num_heads": 4}, "train")
    build(SampleOptions, {"guidance": 0, "seed": 0, "size": "32x16384"}, "sample")


def test_the_mixtures_of_the_page_on_planning_are_valid():
    page = (Path(__file__).parents[3] / "docs" / "planning.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert [build(TrainOptions, tomllib.loads(block)["train"], "train").mixture_by for block in blocks] == ["each", "tokens"]


def test_a_size_is_width_before_height():
    assert parse_size("512x768") == (512, 768)
    assert SampleOptions(size="96x64").width_height == (96, 64)


def test_options_load_no_torch():
    code = "import sys, jobs.lm.options, jobs.train, jobs.sample; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
