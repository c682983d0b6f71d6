"""Attention inside each sequence of a window: sdpa with a dense mask, or flex with a mask of blocks.

    window      s0 s0 s0 s1 s1 s2 s2 s2        each place sees those before it of its own sequence
    dense mask  T x T                          sdpa; on CPUs, and for short windows
    blocks      128 x 128 places each:         flex; a window of 24,576 tokens is 192 x 192 blocks, 600 MB as a dense mask
                empty, full, or by the rule    empty ones are not computed, full ones without the rule

Segments never fall along a window, so whether two blocks share a sequence is seen at their first and last places: T x T never exists.

Shapes: B windows, T tokens, N blocks of a window, H heads, E size of a head.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface

from jobs.lm.batches import Batch
from jobs.lm.model import LanguageModel
from pipeline.errors import RecipeError

BLOCK = 128  # places; the kernels' own tiles divide it
FLEX = "mgpt_flex"  # among transformers' kinds of attention


def use_attention(model: LanguageModel, wanted: str) -> None:
    """Choose what a model's layers attend with.

    Args:
        wanted: As in `train.attention`.

    Raises:
        RecipeError: flex without a GPU: torch has no backward for it there.
    """
    on_gpu = model.device.type == "cuda"
    if wanted == "flex" and not on_gpu:
        raise RecipeError('train.attention: "flex" trains on GPUs alone; "auto" takes sdpa elsewhere')
    set_kind(model, FLEX if on_gpu and wanted != "sdpa" else "sdpa")


def set_kind(model: LanguageModel, kind: str) -> None:
    """Of all layers, "sdpa" or FLEX; the VQ's configuration, which has no layers here, stays as it is."""
    model.model.set_attn_implementation({"": kind})


def attention_mask(model: LanguageModel, batch: Batch) -> Tensor | BlockMask | None:
    """What the model's layers want beside a batch, on the batch's device; None where every window holds one sequence."""
    if not batch.packed:
        return None
    return block_mask(batch.segments_BT) if model.model.config._attn_implementation == FLEX else batch.mask_B1TT


def block_mask(segments_BT: Tensor) -> BlockMask:
    """Which blocks of places see one another, causally and inside each segment.

    Args:
        segments_BT: Never falling along a window.
    """
    T = segments_BT.shape[1]
    N = -(-T // BLOCK)
    padded_BT = F.pad(segments_BT + 1, (0, N * BLOCK - T))
    padded_BT[:, T:] = torch.iinfo(padded_BT.dtype).max  # belongs to nothing
    first_BN, last_BN = padded_BT[:, ::BLOCK], padded_BT[:, BLOCK - 1 :: BLOCK]
    before = torch.ones(N, N, dtype=torch.bool, device=segments_BT.device).tril(-1)
    seen_BNN = (last_BN[:, None, :] >= first_BN[:, :, None]) & before
    full_BNN = (first_BN[:, None, :] == last_BN[:, :, None]) & before
    partial_BNN = seen_BNN & ~full_BNN | torch.eye(N, dtype=torch.bool, device=segments_BT.device)

    def sees(b: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (padded_BT[b, query] == padded_BT[b, key])

    numbers, indices = _ordered(partial_BNN)
    full_numbers, full_indices = _ordered(full_BNN)
    return BlockMask.from_kv_blocks(
        numbers, indices, full_numbers, full_indices, BLOCK_SIZE=BLOCK, mask_mod=sees, seq_lengths=(T, T), compute_q_blocks=True
    )


def _ordered(blocks_BNN: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of keys each block of queries wants, [B, 1, N], and which: these first, in order, [B, 1, N, N]."""
    numbers = blocks_BNN.sum(2, dtype=torch.int32)
    indices = blocks_BNN.to(torch.int8).argsort(dim=2, descending=True, stable=True).to(torch.int32)
    return numbers[:, None], indices[:, None].contiguous()


def attend(
    module: nn.Module,
    query_BHTE: Tensor,
    key_BHTE: Tensor,
    value_BHTE: Tensor,
    mask: BlockMask | None,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> tuple[Tensor, None]:
    """transformers' interface to one layer's attention: [B, T, H, E] and no weights."""
    if dropout:
        raise ValueError(f"attention dropout is {dropout}; flex attention has none")
    query_BHTE, key_BHTE = query_BHTE.to(value_BHTE.dtype), key_BHTE.to(value_BHTE.dtype)  # autocast leaves norms in float32
    grouped = query_BHTE.shape[1] != key_BHTE.shape[1]
    if mask is None:
        mixed = F.scaled_dot_product_attention(query_BHTE, key_BHTE, value_BHTE, is_causal=True, scale=scaling, enable_gqa=grouped)
    else:
        inside = torch.compiler.is_compiling() or query_BHTE.device.type != "cuda"
        flex = flex_attention if inside else _compiled_flex()
        mixed = flex(query_BHTE, key_BHTE, value_BHTE, block_mask=mask, scale=scaling, enable_gqa=grouped)
    return mixed.transpose(1, 2).contiguous(), None


@cache
def _compiled_flex() -> object:
    return torch.compile(flex_attention, dynamic=False)


AttentionInterface.register(FLEX, attend)
