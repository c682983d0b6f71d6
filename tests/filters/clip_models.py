"""Small CLIPs with random weights in folders, as open_clip reads them, and heads for them."""

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

DIMENSION = 24
CONFIG = {  # wide enough that several pictures in a pass give other last bits than one
    "embed_dim": DIMENSION,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 256, "head_width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
PREPROCESS = {
    "clip": {},
    "siglip": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "resize_mode": "squash"},
    "whole": {"resize_mode": "longest", "fill_color": 7},
}


def write_clip(folder: Path, preprocess: str = "clip", seed: int = 0) -> str:
    """A folder that open_clip opens as `local-dir:FOLDER`; the name for a recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": PREPROCESS[preprocess]}))
    torch.manual_seed(seed)
    network = open_clip.model.CLIP(**CONFIG)
    save_file(network.state_dict(), str(folder / "open_clip_model.safetensors"))
    return f"local-dir:{folder}"


def aesthetic_v2(dimension: int = DIMENSION, seed: int = 1) -> torch.nn.Module:
    """LAION's network: no activation between its layers."""
    torch.manual_seed(seed)
    sizes, drops = [dimension, 1024, 128, 64, 16, 1], [0.2, 0.2, 0.1, None, None]
    parts: list[torch.nn.Module] = []
    for wide, narrow, drop in zip(sizes[:-1], sizes[1:], drops, strict=True):
        parts += [torch.nn.Linear(wide, narrow), *([torch.nn.Dropout(drop)] if drop else [])]
    network = torch.nn.Module()
    network.layers = torch.nn.Sequential(*parts)
    network.forward = network.layers.forward
    return network.eval()


def write_aesthetic(path: Path, dimension: int = DIMENSION, seed: int = 1) -> Path:
    """A v2 head that answers around 5."""
    tensors = aesthetic_v2(dimension, seed).state_dict()
    tensors["layers.7.bias"] += 5
    if path.suffix == ".safetensors":
        save_file(tensors, str(path))
    else:
        torch.save(tensors, path)
    return path


def write_linear(path: Path, dimension: int = DIMENSION, seed: int = 2, bias: float = 0.0) -> Path:
    """A logistic regression."""
    torch.manual_seed(seed)
    save_file({"weight": 4 * torch.randn(1, dimension), "bias": torch.full((1,), bias)}, str(path))
    return path
