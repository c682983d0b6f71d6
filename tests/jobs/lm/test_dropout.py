"""Residual dropout: where it acts, how much, and that its noise is the step's."""

import pytest
import torch

from jobs.lm.dropout import ResidualDropout
from tests.jobs.lm.tiny import tiny_model

IDS = torch.arange(40).reshape(2, 20)
POSITIONS = torch.arange(20).expand(2, 20)


@pytest.mark.parametrize("swin_norm", [False, True])
def test_what_the_branches_add_is_dropped_for_the_asked_share(swin_norm):
    model = tiny_model(swin_norm=swin_norm).train()
    dropout = ResidualDropout(model, 0.25, seed=1)
    added: list[torch.Tensor] = []
    for layer in model.model.layers:
        layer.register_forward_hook(lambda module, inputs, output: added.append(output[0] - inputs[0]))
    dropout.seed_step(0, range(2))
    with torch.no_grad():
        model(IDS, POSITIONS)
    zeros = torch.stack([(change == 0).float().mean() for change in added])
    assert len(zeros) == 2
    assert torch.allclose(zeros, torch.tensor(0.25**2), atol=0.03), "zero where both branches are"


def test_the_mean_stays():
    model = tiny_model().train()
    dropout = ResidualDropout(model, 0.5, seed=1)
    drawn = []
    for step in range(400):
        dropout.seed_step(step, range(4))
        drawn.append(dropout._drop(0, 0.5, model, (), torch.ones(4, 5)))
    assert torch.stack(drawn).mean() == pytest.approx(1, abs=0.05)
    assert set(torch.stack(drawn).flatten().tolist()) == {0.0, 2.0}


def test_a_step_has_its_own_noise_and_always_the_same():
    model = tiny_model().train()
    dropout = ResidualDropout(model, 0.2, seed=1)

    def run(step: int) -> torch.Tensor:
        dropout.seed_step(step, range(2))
        with torch.no_grad():
            return model(IDS, POSITIONS)

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))


def test_evaluation_and_a_share_of_0_drop_nothing():
    plain = tiny_model()
    with torch.no_grad():
        wanted = plain(IDS, POSITIONS)
        ResidualDropout(plain.train(), 0.0, seed=1)
        assert torch.equal(plain(IDS, POSITIONS), wanted)
        model = tiny_model()
        dropout = ResidualDropout(model, 0.5, seed=1)
        assert torch.equal(model.eval()(IDS, POSITIONS), wanted)
        dropout.seed_step(0, range(2))
        assert not torch.equal(model.train()(IDS, POSITIONS), wanted)
