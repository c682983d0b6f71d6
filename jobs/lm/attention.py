"""Attention inside each sequence of a window: one after the other, by blocks, or under a dense mask.

    window      s0 s0 s0 s1 s1 s2 s2 s2        each place sees those before it of its own sequence
    split       s0 x s0, s1 x s1, s2 x s2      nothing else is computed; on CPUs, where a call costs little
    blocks      128 x 128 places each:         flex, on GPUs; a window of 24,576 tokens is 192 x 192 blocks, 600 MB as a dense mask
                empty, full, or by the rule    empty ones are not computed, full ones without the rule
    dense mask  T x T                          sdpa; all of it is computed

Segments never fall along a window, so whether two blocks share a sequence is seen at their first and last places: T x T never exists.

Shapes: B windows, T tokens, N blocks of a window, H heads, E size of a head.
"""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface

from jobs.lm.batches import Batch
from jobs.lm.model import LanguageModel
from pipeline.errors import RecipeError

BLOCK = 128  # places; the kernels' own tiles divide it
OWN = "mgpt"  # `attend`, among transformers' kinds of attention
BOUNDS = 3  # window, first place, place behind the last


def use_attention(model: LanguageModel, kind: str, *, compiled: bool) -> str:
    """Choose what a model's layers attend with.

    Args:
        kind: As in `train.attention`.
        compiled: The layers are: then "auto" does not split, which is another program for each batch.

    Returns:
        "split", "flex" or "sdpa".

    Raises:
        RecipeError: flex without a GPU: torch has no backward for it there.
    """
    on_gpu = model.device.type == "cuda"
    if kind == "flex" and not on_gpu:
        raise RecipeError('train.attention: "flex" trains on GPUs alone; "auto" takes "split" elsewhere')
    if kind == "auto":
        kind = "flex" if on_gpu else "sdpa" if compiled else "split"
    set_kind(model, kind)
    return kind


def set_kind(model: LanguageModel, kind: str) -> None:
    """Of all layers, "sdpa" or our own; the VQ's configuration, which has no layers here, stays as it is."""
    model.model.set_attn_implementation({"": "sdpa" if kind == "sdpa" else OWN})


def attention_mask(batch: Batch, kind: str) -> Tensor | BlockMask | None:
    """What layers of a kind want beside a batch, on the batch's device; None where every window holds one sequence."""
    if not batch.packed:
        return None
    if kind == "flex":
        return block_mask(batch.segments_BT)
    return bounds(batch.lengths) if kind == "split" else batch.mask_B1TT


def bounds(lengths: Sequence[Sequence[int]]) -> Tensor:
    """[1, 1, sequences, BOUNDS] int64 on the CPU: four dimensions, for transformers hands on nothing else.

    Args:
        lengths: Of each window's sequences.
    """
    rows = []
    for window, row in enumerate(lengths):
        ends = list(accumulate(row, initial=0))
        rows += [(window, start, stop) for start, stop in pairwise(ends)]
    return torch.tensor(rows, dtype=torch.int64)[None, None]


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
    mask: BlockMask | Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> tuple[Tensor, None]:
    """transformers' interface to one layer's attention.

    Args:
        mask: From `block_mask` or `bounds`.

    Returns:
        [B, T, H, E], zeros at padding if split; and no weights.
    """
    if dropout:
        raise ValueError(f"attention dropout is {dropout}; flex attention has none")
    query_BHTE, key_BHTE = query_BHTE.to(value_BHTE.dtype), key_BHTE.to(value_BHTE.dtype)  # autocast leaves norms in float32
    grouped = query_BHTE.shape[1] != key_BHTE.shape[1]
    if isinstance(mask, Tensor):
        return _split(query_BHTE, key_BHTE, value_BHTE, mask, scaling).transpose(1, 2).contiguous(), None
    if mask is None:
        mixed = F.scaled_dot_product_attention(query_BHTE, key_BHTE, value_BHTE, is_causal=True, scale=scaling, enable_gqa=grouped)
    else:
        inside = torch.compiler.is_compiling() or query_BHTE.device.type != "cuda"
        flex = flex_attention if inside else _compiled_flex()
        mixed = flex(query_BHTE, key_BHTE, value_BHTE, block_mask=mask, scale=scaling, enable_gqa=grouped)
    return mixed.transpose(1, 2).contiguous(), None


def _split(query_BHTE: Tensor, key_BHTE: Tensor, value_BHTE: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    B, H, T, _ = query_BHTE.shape
    grouped = key_BHTE.shape[1] != H
    windows: list[list[Tensor]] = [[] for _ in range(B)]
    done = [0] * B
    for window, start, stop in mask.view(-1, BOUNDS).tolist():
        here = (slice(window, window + 1), slice(None), slice(start, stop))
        query, key, value = query_BHTE[here], key_BHTE[here], value_BHTE[here]
        windows[window].append(F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped))
        done[window] = stop
    padding = [query_BHTE.new_zeros(1, H, T - end, value_BHTE.shape[3]) for end in done]
    return torch.cat([torch.cat([*parts, rest], 2) for parts, rest in zip(windows, padding, strict=True)])


@cache
def _compiled_flex() -> object:
    return torch.compile(flex_attention, dynamic=False)


AttentionInterface.register(OWN, attend)
