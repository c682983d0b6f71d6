"""Rows begun from the VQ: codes that look alike begin alike, all other rows are as they were drawn."""

from dataclasses import replace

import pytest
import torch

from jobs.lm.code_rows import start_from_vectors
from jobs.lm.model import new_model
from jobs.lm.options import TrainOptions
from jobs.lm.parallel import ALONE
from jobs.lm.start import load_start
from jobs.lm.train_data import open_data
from pipeline.errors import RecipeError, VerificationError
from tests.jobs.lm.tiny import NAMES, OPTIONS, TEXT, write_mixed

IDS = torch.tensor(TEXT.vocab.codes[:60])


def fresh():
    return new_model(OPTIONS, TEXT.vocab, NAMES, max_tokens=64, seed=1)


def vectors() -> torch.Tensor:
    """60 codes in 20 groups of three that are nearly alike."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 1, 16, generator=generator).expand(20, 3, 16).reshape(60, 16) + 0.05 * torch.randn(60, 16, generator=generator)


def test_codes_that_are_alike_begin_alike_and_others_do_not():
    model = fresh()
    start_from_vectors(model, IDS, vectors(), seed=1)
    for weight in (model.model.embed_tokens.weight, model.lm_head.weight):
        rows = torch.nn.functional.normalize(weight[IDS].detach())
        likeness = rows @ rows.T
        same = torch.block_diag(*[torch.ones(3, 3, dtype=torch.bool)] * 20)
        assert likeness[same].mean() > 0.8 and likeness[~same].mean().abs() < 0.1


def test_only_rows_of_codes_are_touched_and_the_same_seed_gives_the_same():
    before, model, again, other = fresh(), fresh(), fresh(), fresh()
    for changed, seed in ((model, 1), (again, 1), (other, 2)):
        start_from_vectors(changed, IDS, vectors(), seed=seed)
    rest = torch.ones(TEXT.vocab.size, dtype=torch.bool)
    rest[IDS] = False
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
        if name.endswith(("embed_tokens.weight", "lm_head.weight")):
            assert torch.equal(weight[rest], before.state_dict()[name][rest])
            assert (weight[IDS] != before.state_dict()[name][IDS]).all() and (weight[IDS] != other.state_dict()[name][IDS]).any()
        else:
            assert torch.equal(weight, before.state_dict()[name])


def test_a_training_begins_from_the_very_vq_of_its_shards(tmp_path):
    """The shards of these tests were made by none, which is refused; a new model is begun otherwise."""
    data = open_data(str(write_mixed(tmp_path)), OPTIONS, 1)
    load_start("", data, OPTIONS, seed=1, max_tokens=64, ranks=ALONE)
    with pytest.raises((RecipeError, VerificationError), match="vq"):
        load_start("", data, replace(OPTIONS, code_rows="vq"), seed=1, max_tokens=64, ranks=ALONE)


def test_a_model_to_start_from_keeps_its_rows():
    with pytest.raises(RecipeError, match=r'"drawn" with a model to start from is wanted'):
        TrainOptions(init="folder", code_rows="vq")
