"""A network of the published size (ch 128, 5 levels, 8,192 codes) with random weights: its speed is that of the published one."""

from pathlib import Path

CONFIG = """
model:
  params:
    embed_dim: 256
    n_embed: 8192
    ddconfig: {double_z: false, z_channels: 256, resolution: 512, in_channels: 3, out_ch: 3, ch: 128, ch_mult: [1, 1, 2, 2, 4],
               num_res_blocks: 2, attn_resolutions: [], dropout: 0.0}
"""


def write_chameleon_size(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Write `vqgan.yaml` and random weights into a folder; returns their paths."""
    import torch
    from safetensors.torch import save_file

    from tokenizer.vq.config import read_config
    from tokenizer.vq.network import VQGAN

    config, weights = folder / "vqgan.yaml", folder / "weights.safetensors"
    config.write_text(CONFIG)
    torch.manual_seed(seed)
    save_file(VQGAN(read_config(str(config))).state_dict(), weights)
    return config, weights
