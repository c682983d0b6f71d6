"""Distances in the eyes of other networks, held against the libraries' own."""

import pytest
import timm
import torch
from torch.nn import functional as F
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity

from pipeline.errors import RecipeError
from tokenizer.vq.fitting.options import PerceptualOptions
from tokenizer.vq.fitting.perceptual import Features, Lpips, feature_distance


@pytest.fixture
def pictures():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_features_are_those_of_timm_with_its_own_normalization(backbone, pictures):
    features = Features(PerceptualOptions("features", backbone, (0, 2)))
    network = timm.create_model(backbone, pretrained=True, features_only=True, out_indices=(0, 2)).eval()
    config = timm.data.resolve_data_config({}, model=network)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    wanted = network(((pictures + 1) / 2 - mean) / std)
    assert [f.shape[1] for f in wanted] == features.channels
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(features(pictures), wanted, strict=True))


def test_the_distance_is_nothing_between_equals_and_grows_with_noise(backbone, pictures):
    features = Features(PerceptualOptions("features", backbone))
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(2))
    near, far = (float(feature_distance(features(pictures + s * noise), features(pictures))) for s in (0.05, 0.5))
    assert float(feature_distance(features(pictures), features(pictures))) == 0
    assert 0 < near < far


def test_opposite_vectors_have_distance_four():
    ones = torch.ones(1, 5, 2, 2)
    assert float(feature_distance([ones], [-3 * ones])) == pytest.approx(4)
    assert float(feature_distance([ones, ones], [F.relu(-ones), ones])) == pytest.approx(0.5)  # a vector of zeros has no direction


def test_gradients_reach_the_picture_and_nothing_else(backbone, pictures):
    features = Features(PerceptualOptions("features", backbone))
    output = pictures.clone().requires_grad_()
    feature_distance(features(output), features(pictures * 0.5)).backward()
    assert output.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in features.parameters())


def test_lpips_is_that_of_torchmetrics(torchvision_weights, pictures):
    other = pictures.flip(3)
    wanted = learned_perceptual_image_patch_similarity(other, pictures, net_type="squeeze")
    assert float(Lpips(PerceptualOptions("lpips", "squeeze"))(other, pictures)) == pytest.approx(float(wanted), rel=1e-5)
    assert float(wanted) > 0


def test_a_network_that_timm_does_not_have_is_refused():
    with pytest.raises(RecipeError, match=r"fit.perceptual.model: timm cannot load 'no_such_net'"):
        Features(PerceptualOptions("features", "no_such_net"))


def test_stages_that_the_network_does_not_have_are_refused(backbone):
    with pytest.raises(RecipeError, match=r"fit.perceptual.model: timm cannot load"):
        Features(PerceptualOptions("features", backbone, (0, 99)))
