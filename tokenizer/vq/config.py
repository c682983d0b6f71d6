"""The shape of a VQGAN, read from `vqgan.yaml`: the keys that were published, and five more with which a network can be made small.

    model:
      params:
        embed_dim: 256            # numbers a code vector has
        n_embed: 8192             # codes
        ddconfig:
          ch: 128                 # channels at the first level
          ch_mult: [1, 1, 2, 2, 4]  # channels of each level, in units of ch; between two levels the sides are halved
          num_res_blocks: 2       # a level of the encoder; the decoder has one more
          attn_resolutions: []    # sides, at a picture of `resolution`, where a level has attention too
          resolution: 512
          z_channels: 256         # channels between the encoder and the codebook's own projection
          in_channels: 3
          out_ch: 3
          double_z: false
          dropout: 0.0
          # ours, and their defaults:
          patch_size: 1           # p x p pixels are folded into channels before the first convolution and unfolded after the last
          num_groups: 32          # of every group normalisation
          mid_attention: true     # attention between the two middle blocks
          mid_blocks: 2           # residual blocks in the middle: 1 or 2
          decoder: {}             # any of the keys that shape a half, where the decoder differs from the encoder

Source: CompVis taming-transformers (arXiv 2012.09841), `ddconfig`; Chameleon (arXiv 2405.09818), `vqgan.yaml`.
"""

from dataclasses import dataclass, fields
from typing import Any

import yaml

from pipeline.config import build
from pipeline.errors import RecipeError
from pipeline.paths import read_bytes

HAVE_NO_EFFECT = ("lossconfig", "ckpt_path", "ignore_keys", "image_key", "monitor", "sane_index_shape")  # of `params`: training's business


@dataclass(frozen=True)
class HalfConfig:
    """The shape of the encoder, or of the decoder."""

    ch: int  # channels at the first level
    ch_mult: tuple[int, ...]  # by level
    num_res_blocks: int  # a level; the decoder has one more
    attn_resolutions: tuple[int, ...] = ()  # pixels, at a picture of `resolution`
    patch_size: int = 1  # pixels a side that are folded into channels
    num_groups: int = 32
    mid_attention: bool = True
    mid_blocks: int = 2

    @property
    def downsample(self) -> int:
        """Pixels a side for one code."""
        return self.patch_size * 2 ** (len(self.ch_mult) - 1)


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a whole network."""

    encoder: HalfConfig
    decoder: HalfConfig
    num_codes: int
    embed_dim: int  # numbers a code vector has
    z_channels: int
    resolution: int = 256  # pixels a side; only `attn_resolutions` refers to it
    in_channels: int = 3
    out_channels: int = 3
    dropout: float = 0.0  # while training

    @property
    def downsample(self) -> int:
        return self.encoder.downsample


@dataclass(frozen=True)
class _DDConfig:
    """`ddconfig` as it stands in the file, without `decoder`."""

    ch: int
    ch_mult: tuple[int, ...]
    num_res_blocks: int
    z_channels: int
    resolution: int = 256
    attn_resolutions: tuple[int, ...] = ()
    in_channels: int = 3
    out_ch: int = 3
    double_z: bool = False
    dropout: float = 0.0
    patch_size: int = 1
    num_groups: int = 32
    mid_attention: bool = True
    mid_blocks: int = 2


def read_config(path: str) -> NetworkConfig:
    """Read and check a `vqgan.yaml`.

    Raises:
        RecipeError: No such file, no YAML, an unknown key, or a network that cannot be built.
    """
    try:
        document = yaml.safe_load(read_bytes(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: no YAML ({error})") from error
    return parse_config(document, path)


def parse_config(document: Any, where: str) -> NetworkConfig:
    """Check a parsed `vqgan.yaml`.

    Args:
        document: What the YAML holds.
        where: Its path, for the message.

    Raises:
        RecipeError: As `read_config`.
    """
    params = document.get("model", {}).get("params") if isinstance(document, dict) and isinstance(document.get("model"), dict) else None
    if not isinstance(params, dict) or not isinstance(params.get("ddconfig"), dict):
        raise RecipeError(f"{where}: no table model.params.ddconfig")
    for key, value in params.items():
        if key not in ("ddconfig", "n_embed", "embed_dim", *HAVE_NO_EFFECT) and value is not None:
            raise RecipeError(f"{where}: unknown key 'model.params.{key}'")
    table = dict(params["ddconfig"])
    differing = table.pop("decoder", {})
    at = f"{where}: model.params.ddconfig"
    half_keys = [f.name for f in fields(HalfConfig)]
    shape: _DDConfig = build(_DDConfig, table, at)
    encoder = HalfConfig(**{key: getattr(shape, key) for key in half_keys})
    decoder = build(HalfConfig, {key: table[key] for key in half_keys if key in table} | differing, f"{at}.decoder")
    config = NetworkConfig(
        encoder,
        decoder,
        num_codes=_positive(params, "n_embed", where),
        embed_dim=_positive(params, "embed_dim", where),
        z_channels=shape.z_channels,
        resolution=shape.resolution,
        in_channels=shape.in_channels,
        out_channels=shape.out_ch,
        dropout=shape.dropout,
    )
    _check(config, at, double_z=shape.double_z)
    return config


def _positive(params: dict[str, Any], key: str, where: str) -> int:
    value = params.get(key)
    if type(value) is not int or value < 1:
        raise RecipeError(f"{where}: model.params.{key}: wants a positive integer, got {value!r}")
    return value


def _check(config: NetworkConfig, at: str, double_z: bool) -> None:
    if double_z:
        raise RecipeError(f"{at}.double_z: a VQGAN has one vector a place; this one is for variational autoencoders")
    if (config.in_channels, config.out_channels) != (3, 3):
        raise RecipeError(f"{at}: pictures are RGB, so in_channels and out_ch are 3, not {config.in_channels} and {config.out_channels}")
    if config.encoder.downsample != config.decoder.downsample:
        raise RecipeError(f"{at}: the encoder makes {config.encoder.downsample} pixels a code, the decoder {config.decoder.downsample}")
    for half, name in ((config.encoder, "ddconfig"), (config.decoder, "ddconfig.decoder")):
        blocks = half.num_res_blocks + (half is config.decoder)
        if not half.ch_mult or min(half.ch, blocks, half.patch_size, half.num_groups, *half.ch_mult, config.z_channels) < 1:
            raise RecipeError(f"{at}: every size in {name} is at least 1 (num_res_blocks of the decoder: 0)")
        if half.mid_blocks not in (1, 2):
            raise RecipeError(f"{at}: mid_blocks in {name} is 1 or 2, not {half.mid_blocks}")
        for multiple in half.ch_mult:
            if half.ch * multiple % half.num_groups:
                raise RecipeError(f"{at}: {half.ch * multiple} channels in {name} do not divide into {half.num_groups} groups")
