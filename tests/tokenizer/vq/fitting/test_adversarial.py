"""Discriminators learn to tell real from decoded, and tell the network what they see."""

import pytest
import torch

from tokenizer.vq.fitting.adversarial import Discriminator, discriminator_loss, generator_loss, refresh_norms


def pairs(seed):
    """Rough pictures, and smooth ones."""
    rough = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return rough, torch.nn.functional.avg_pool2d(rough, 5, 1, 2)


def judged(network, pictures):
    return network(pictures, [pictures, torch.nn.functional.avg_pool2d(pictures, 2)][: len(network.heads)])


@pytest.mark.parametrize(("patches", "stages"), [(True, []), (False, [3, 3]), (True, [3, 3])], ids=["pixels", "features", "both"])
def test_a_discriminator_learns_what_a_blur_is(patches, stages):
    torch.manual_seed(0)
    network = Discriminator(patches, stages, 8).eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for step in range(60):
        real, fake = pairs(step)
        loss = discriminator_loss(judged(network, real), judged(network, fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        refresh_norms(network)
    real, fake = pairs(1000)
    with torch.no_grad():
        of_real, of_fake = judged(network, real), judged(network, fake)
    assert [len(group) for group in of_real] == [len(stages)] * bool(stages) + [1] * patches
    for real_group, fake_group in zip(of_real, of_fake, strict=True):
        assert sum(float(a.mean() - b.mean()) for a, b in zip(real_group, fake_group, strict=True)) > 0.3
    assert float(generator_loss(of_real)) < float(generator_loss(of_fake))


def test_the_hinge_is_nothing_where_the_judgement_is_sure():
    sure, wrong = [[torch.full((2, 2), 1.5)]], [[torch.full((2, 2), -1.5)]]
    assert float(discriminator_loss(sure, wrong)) == 0
    assert float(discriminator_loss(wrong, sure)) == 5


def test_patches_weigh_as_much_as_all_stages_together():
    stages, patches = [torch.zeros(1), torch.zeros(1)], [torch.ones(1)]
    assert float(generator_loss([stages, patches])) == -0.5


def test_every_convolution_has_spectral_norm_one_and_judging_does_not_change_it():
    torch.manual_seed(0)
    network = Discriminator(True, [], 8).eval()
    for _ in range(30):
        refresh_norms(network)
    before = [parameter.clone() for parameter in network.state_dict().values()]
    network(torch.rand(1, 3, 32, 32), [])
    assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))
    norms = [float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert norms == pytest.approx([1] * 4, abs=0.02)
