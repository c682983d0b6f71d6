"""The VQGAN as a network: encoder, codebook, decoder. Parameters carry the names of the published checkpoint.

    picture [-1, 1]  --encoder-->  z  --quant_conv-->  nearest code vector  --post_quant_conv-->  decoder  -->  picture

    encoder   conv_in, levels of residual blocks with a halving between two of them, middle, norm_out, conv_out
    decoder   conv_in, middle, levels with a doubling between two of them, norm_out, conv_out
    middle    residual block, attention, residual block

Shapes: B pictures, C channels, H x W pixels, h x w codes (h = H / downsample), D numbers a code vector, K codes, P = h * w.

Written from the architecture's description; how it maps to module names was read off the published checkpoint.
Source: Esser et al. 2012.09841, section 3.1 and appendix; van den Oord et al. 1711.00937 (codebook); Chameleon 2405.09818.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenizer.vq.config import HalfConfig, NetworkConfig

GROUP_NORM_EPS = 1e-6
ROWS_A_SEARCH = 4096  # vectors compared with the codebook at once: 4096 x 8192 distances are 128 MB
ROWS_IN_CACHE = 128  # 4 MB
CODES_A_BLOCK = 128
ROUNDING = 4 * 2.0**-24  # of a float32 product, with room for sums that grow by the root of their length
PAIRS_AT_ONCE = 1 << 16  # vectors and codes compared in float64


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), with a 1 x 1 convolution on x where the channels change."""

    def __init__(self, in_channels: int, out_channels: int, num_groups: int, dropout: float):
        super().__init__()
        self.norm1 = _norm(in_channels, num_groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = _norm(out_channels, num_groups)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.dropout = dropout
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.changes_channels = in_channels != out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(_silu(self.norm1(x)))
        y = F.dropout(_silu(self.norm2(y)), self.dropout, self.training)
        return _add(self.conv2(y), self.nin_shortcut(x) if self.changes_channels else x)


class Attention(nn.Module):
    """One head of self-attention over all places, added to its input."""

    def __init__(self, channels: int, num_groups: int):
        super().__init__()
        self.norm = _norm(channels, num_groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (conv(y).flatten(2).transpose(1, 2).unsqueeze(1) for conv in (self.q, self.k, self.v))  # [B, 1, P, C]
        y = F.scaled_dot_product_attention(q, k, v)
        return _add(self.proj_out(y.squeeze(1).transpose(1, 2).reshape(x.shape)), x)


class Halving(nn.Module):
    """A strided convolution that pads on the right and at the bottom alone."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Doubling(nn.Module):
    """Each place repeated 2 x 2, then a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, channels: int, half: HalfConfig, dropout: float):
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, half.num_groups, dropout)
        self.attn_1 = Attention(channels, half.num_groups) if half.mid_attention else nn.Identity()
        self.block_2 = ResidualBlock(channels, channels, half.num_groups, dropout) if half.mid_blocks == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Level(nn.Module):
    """Residual blocks at one size, each followed by attention where the config asks for it, and the way to the next size."""

    def __init__(self, channels: list[int], half: HalfConfig, attends: bool, dropout: float):
        super().__init__()
        pairs = list(pairwise(channels))
        self.block = nn.ModuleList(ResidualBlock(a, b, half.num_groups, dropout) for a, b in pairs)
        self.attn = nn.ModuleList(Attention(b, half.num_groups) for _, b in pairs if attends)
        self.downsample: Halving | None = None  # set by the encoder, but for its last level
        self.upsample: Doubling | None = None  # set by the decoder, but for its last level

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        if self.downsample:
            x = self.downsample(x)
        if self.upsample:
            x = self.upsample(x)
        return x


class Encoder(nn.Module):
    def __init__(self, config: NetworkConfig):
        super().__init__()
        half, width = config.encoder, [config.encoder.ch * multiple for multiple in config.encoder.ch_mult]
        self.patch_size = half.patch_size
        self.conv_in = nn.Conv2d(config.in_channels * half.patch_size**2, half.ch, 3, padding=1)
        self.down = nn.ModuleList()
        channels = half.ch
        for i, out in enumerate(width):
            level = Level([channels] + [out] * half.num_res_blocks, half, _attends(config, half, i), config.dropout)
            if i < len(width) - 1:
                level.downsample = Halving(out)
            self.down.append(level)
            channels = out
        self.mid = Middle(channels, half, config.dropout)
        self.norm_out = _norm(channels, half.num_groups)
        self.conv_out = nn.Conv2d(channels, config.z_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x = self.conv_in(F.pixel_unshuffle(x_BCHW, self.patch_size) if self.patch_size > 1 else x_BCHW)
        for level in self.down:
            x = level(x)
        return self.conv_out(_silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, config: NetworkConfig):
        super().__init__()
        half, width = config.decoder, [config.decoder.ch * multiple for multiple in config.decoder.ch_mult]
        self.patch_size = half.patch_size
        channels = width[-1]
        self.conv_in = nn.Conv2d(config.z_channels, channels, 3, padding=1)
        self.mid = Middle(channels, half, config.dropout)
        levels = []
        for i in reversed(range(len(width))):
            level = Level([channels] + [width[i]] * (half.num_res_blocks + 1), half, _attends(config, half, i), config.dropout)
            if i > 0:
                level.upsample = Doubling(width[i])
            levels.append(level)
            channels = width[i]
        self.up = nn.ModuleList(reversed(levels))  # numbered as the encoder's levels are: up.0 works on the largest picture
        self.norm_out = _norm(channels, half.num_groups)
        self.conv_out = nn.Conv2d(channels, config.out_channels * half.patch_size**2, 3, padding=1)

    def forward(self, z_BChw: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z_BChw))
        for level in reversed(self.up):
            x = level(x)
        x = self.conv_out(_silu(self.norm_out(x)))
        return F.pixel_shuffle(x, self.patch_size) if self.patch_size > 1 else x


class Codebook(nn.Module):
    """K vectors; a vector's code is the number of the nearest one."""

    def __init__(self, num_codes: int, embed_dim: int):
        super().__init__()
        self.embedding = nn.Embedding(num_codes, embed_dim)
        nn.init.uniform_(self.embedding.weight, -1 / num_codes, 1 / num_codes)

    def nearest(self, z_ND: Tensor) -> Tensor:
        """[N] int64, by squared distance; of two at the same distance the lower code.

        The search is in float32, without the square of z, which is the same for all codes. Codes that come so near to the best that
        rounding may have put it first are compared once more as the reference does it, z^2 + e^2 - 2ze in float32 and the lowest code of
        those that come out equal, but with each part rounded once: a code shall not hang on the order in which a processor adds.
        """
        weight = self.embedding.weight.float()
        squares = weight.square().sum(1)
        largest = squares.max().sqrt()
        # rows whose distances stay in the cache go twice as fast; a GPU wants many
        step = ROWS_IN_CACHE if z_ND.device.type == "cpu" else ROWS_A_SEARCH
        return torch.cat([_nearest(rows, weight, squares, largest) for rows in z_ND.float().split(step)])


class VQGAN(nn.Module):
    """Picture to codes and back."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Codebook(config.num_codes, config.embed_dim)
        self.quant_conv = nn.Conv2d(config.z_channels, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)

    def encode(self, x_BCHW: Tensor) -> Tensor:
        """Pixels in [-1, 1] to vectors [B, D, h, w] that are not quantized yet."""
        return self.quant_conv(self.encoder(x_BCHW))

    def codes(self, z_BDhw: Tensor) -> Tensor:
        """[B, h, w] int64."""
        batch, dim, height, width = z_BDhw.shape
        return self.quantize.nearest(z_BDhw.permute(0, 2, 3, 1).reshape(-1, dim)).view(batch, height, width)

    def vectors(self, codes_Bhw: Tensor) -> Tensor:
        """The code vectors [B, D, h, w]."""
        return self.quantize.embedding(codes_Bhw).permute(0, 3, 1, 2)

    def decode(self, z_BDhw: Tensor) -> Tensor:
        """Vectors to pixels, about [-1, 1]."""
        return self.decoder(self.post_quant_conv(z_BDhw))


def _nearest(z_ND: Tensor, weight_KD: Tensor, squares_K: Tensor, largest: Tensor) -> Tensor:
    scores_NK = torch.addmm(squares_K, z_ND, weight_KD.T, alpha=-2)
    length_N = z_ND.norm(dim=1)
    error_N = ROUNDING * (weight_KD.shape[1] ** 0.5 * largest * (largest + 2 * length_N) + length_N.square() + largest.square())
    row, code, z = *_least(scores_NK, error_N), z_ND.double()
    pairs = zip(row.split(PAIRS_AT_ONCE), code.split(PAIRS_AT_ONCE), strict=True)
    distances = torch.cat([_distances(z[r], weight_KD[c].double()) for r, c in pairs])
    least_N = distances.new_full((len(z),), torch.inf).scatter_reduce(0, row, distances, "amin")
    chosen = torch.where(distances == least_N[row], code, len(weight_KD))
    return code.new_full((len(z),), len(weight_KD)).scatter_reduce(0, row, chosen, "amin")


def _least(scores_NK: Tensor, within_N: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of all scores that come that near to the least of their row.

    By way of the least of each block: all scores are then passed once, by an operation that runs at the speed of memory, which comparing
    and counting do not. The whole search takes a third of the time.
    """
    blocks_NbB = scores_NK.unflatten(1, (-1, math.gcd(scores_NK.shape[1], CODES_A_BLOCK)))
    least_Nb = blocks_NbB.amin(2)
    bound_N = least_Nb.amin(1) + within_N
    row, block = (least_Nb <= bound_N[:, None]).nonzero(as_tuple=True)
    which, place = (blocks_NbB[row, block] <= bound_N[row, None]).nonzero(as_tuple=True)
    return row[which], block[which] * blocks_NbB.shape[2] + place


def _distances(z_ND: Tensor, weight_ND: Tensor) -> Tensor:
    """Of pairs in float64: the reference's sum in float32, each part rounded once."""
    parts = (z_ND.square().sum(1), weight_ND.square().sum(1), 2 * (z_ND * weight_ND).sum(1))
    of_z, of_weight, of_both = (part.float() for part in parts)
    return of_z + of_weight - of_both


def _silu(x: Tensor) -> Tensor:
    """SiLU of a tensor that nobody else needs. In place where no gradient is wanted: fresh memory costs a CPU more than the arithmetic."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def _add(fresh: Tensor, x: Tensor) -> Tensor:
    """The sum, in the memory of the first where no gradient is wanted."""
    return fresh + x if torch.is_grad_enabled() else fresh.add_(x)


def _norm(channels: int, num_groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(num_groups, channels, eps=GROUP_NORM_EPS)


def _attends(config: NetworkConfig, half: HalfConfig, level: int) -> bool:
    return config.resolution // (half.patch_size * 2**level) in half.attn_resolutions
