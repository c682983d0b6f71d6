"""A network of the published size (ch 128, 5 levels, 8,192 codes) with random weights: its speed is that of the published one."""

from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

from tokenizer.vq.config import parse_config
from tokenizer.vq.network import VQGAN

CONFIG = {
    "model": {
        "params": {
            "embed_dim": 256,
            "n_embed": 8192,
            "ddconfig": {
                "ch": 128,
                "ch_mult": [1, 1, 2, 2, 4],
                "num_res_blocks": 2,
                "attn_resolutions": [],
                "resolution": 512,
                "z_channels": 256,
                "in_channels": 3,
                "out_ch": 3,
                "double_z": False,
                "dropout": 0.0,
            },
        }
    }
}


def chameleon_size_network(seed: int = 0) -> VQGAN:
    """The network, in float32."""
    torch.manual_seed(seed)
    return VQGAN(parse_config(CONFIG, "benchmarks")).eval()


def write_chameleon_size(folder: Path) -> tuple[Path, Path]:
    """Write `vqgan.yaml` and random weights into a folder; returns their paths."""
    config, weights = folder / "vqgan.yaml", folder / "weights.safetensors"
    config.write_text(yaml.safe_dump(CONFIG))
    save_file(chameleon_size_network().state_dict(), weights)
    return config, weights
