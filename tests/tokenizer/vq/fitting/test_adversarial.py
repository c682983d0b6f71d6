"""Discriminators learn to tell real from decoded, and tell the network what they see."""

import pytest
import torch

from tokenizer.vq.fitting.adversarial import FeatureDiscriminator, PatchDiscriminator, discriminator_loss, generator_loss, refresh_norms


def pairs(seed):
    """Rough pictures, and smooth ones."""
    rough = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return rough, torch.nn.functional.avg_pool2d(rough, 5, 1, 2)


def seen(kind, pictures):
    return pictures if kind == "pixels" else [pictures, torch.nn.functional.avg_pool2d(pictures, 2)]


@pytest.mark.parametrize("kind", ["pixels", "features"])
def test_a_discriminator_learns_what_a_blur_is(kind):
    torch.manual_seed(0)
    network = PatchDiscriminator(8) if kind == "pixels" else FeatureDiscriminator([3, 3], 8)
    network.eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for step in range(60):
        real, fake = pairs(step)
        loss = discriminator_loss(network(seen(kind, real)), network(seen(kind, fake)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        refresh_norms(network)
    real, fake = pairs(1000)
    with torch.no_grad():
        of_real, of_fake = network(seen(kind, real)), network(seen(kind, fake))
    assert sum(float(a.mean() - b.mean()) for a, b in zip(of_real, of_fake, strict=True)) > 0.3
    assert float(generator_loss(of_real)) < float(generator_loss(of_fake))


def test_the_hinge_is_nothing_where_the_judgement_is_sure():
    sure, wrong = [torch.full((2, 2), 1.5)], [torch.full((2, 2), -1.5)]
    assert float(discriminator_loss(sure, wrong)) == 0
    assert float(discriminator_loss(wrong, sure)) == 5


def test_every_convolution_has_spectral_norm_one_and_judging_does_not_change_it():
    torch.manual_seed(0)
    network = PatchDiscriminator(8).eval()
    for _ in range(30):
        refresh_norms(network)
    before = [parameter.clone() for parameter in network.state_dict().values()]
    network(torch.rand(1, 3, 32, 32))
    assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))
    norms = [float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert norms == pytest.approx([1] * 4, abs=0.02)
