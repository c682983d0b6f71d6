"""A small run, and the real networks that losses look through, with random weights: none can be fetched."""

import pytest
import timm
import torch
import torchvision
from timm.models import save_for_hf

from tests.tokenizer.vq.fitting.small import small_options, small_pools


@pytest.fixture(scope="module")
def pools():
    return small_pools()


@pytest.fixture
def options(tmp_path):
    return small_options(tmp_path)


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """A folder with a network of timm, as `fit.perceptual.model` takes it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("backbone")
    network = timm.create_model("tf_efficientnet_lite0").train()
    with torch.no_grad():
        for _ in range(20):  # random weights alone leave next to nothing of a picture; the norms must have seen some
            network(torch.rand(4, 3, 64, 64) * 2 - 1)
    save_for_hf(network, folder, safe_serialization=True)
    return f"local-dir:{folder}"


@pytest.fixture
def torchvision_weights(tmp_path, monkeypatch):
    """torchvision's cache with a SqueezeNet in it, where LPIPS looks for one."""
    torch.manual_seed(0)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[1]
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "hub" / "checkpoints" / name)
