"""A VQGAN that is fitted in a second, and pictures for it."""

from pathlib import Path

import yaml

from pipeline.sources.shapes import Shapes
from tokenizer.vq.fitting.options import CodebookOptions, FitOptions
from tokenizer.vq.fitting.pictures import Pool, load_pool

SHAPE = {
    "ch": 16,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "z_channels": 8,
    "resolution": 32,
    "patch_size": 2,
    "num_groups": 4,
    "mid_attention": False,
    "mid_blocks": 1,
}


def small_pools() -> list[Pool]:
    return [load_pool(Shapes(count=12, sizes=("48x32",)), weight=1.0, max_side=32, min_side=16, max_bytes=10**7)]


def write_config(folder: Path, **changes: object) -> str:
    path = folder / "vqgan.yaml"
    path.write_text(yaml.safe_dump({"model": {"params": {"ddconfig": SHAPE | changes, "n_embed": 32, "embed_dim": 4}}}))
    return str(path)


def small_options(folder: Path) -> FitOptions:
    return FitOptions(
        config=write_config(folder),
        output=str(folder / "out"),
        steps=40,
        device="cpu",
        threads=1,
        crop_sizes=("16x16", "32x32", "32x16"),
        batch_pixels=8 * 16 * 16,
        plain_steps=10,
        swapped_colors=0.0,
        learning_rate=3e-3,
        rise_steps=2,
        fall_steps=10,
        average_decay=0.9,
        report_every=10,
        save_every=20,
        held_out_size=32,
        codebook=CodebookOptions(kmeans_vectors=200, revive_every=5),
    )
