"""The backbone over a static cache: rows of different lengths, a few new tokens each.

    row 0   k k k k k k q q . . .        a row's own tokens lie from 0, so its places are its positions
    row 1   k k q x . . . . . . .        q new tokens; x padding, overwritten before anything sees it

The same arithmetic as transformers' Chameleon, whose modules hold the weights, without its masks, caches and wrappers: on a CPU these cost
as much as the products themselves. And a product of few rows is faster the other way round there: MKL runs W x' at the speed of memory
where x lies row by row, x W' at a third of it, and one row slower than two (see `_other_way`).

Shapes: R rows, T new tokens a row, K places in the cache, H heads, G heads of keys, E size of a head, D hidden size, N = R T.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.lm.model import LanguageModel


class Decoder:
    """A model and the keys and values of some rows.

    Args:
        num_places: Tokens that a row can hold.
        compiler: Of steps over all rows; None leaves them as they are.
    """

    def __init__(self, model: LanguageModel, num_rows: int, num_places: int, compiler: "Compiler | None" = None):
        layers = list(model.model.layers)
        G, E = layers[0].self_attn.num_key_value_heads, layers[0].self_attn.head_dim
        weight = model.lm_head.weight
        self._shape = num_rows, G, num_places, E  # a head's keys lie together: twice as fast to read as a place's
        flat = {"size": (num_rows * G * num_places, E), "dtype": weight.dtype, "device": weight.device}
        places = torch.arange(num_places, device=weight.device)
        cos, sin = model.model.rotary_emb(weight, places[None])
        self.state = State(
            model.model.embed_tokens,
            [_Layer(layer, swin=model.config.swin_norm) for layer in layers],
            model.model.norm,
            [torch.zeros(**flat) for _ in layers],
            [torch.zeros(**flat) for _ in layers],
            cos[0],
            sin[0],
            places,
            self._shape,
        )
        self._compiler = compiler
        if compiler:
            compiler.prepare(self.state)

    def forward(self, ids_RT: Tensor, starts_R: Tensor, first_row: int, num_keys: int) -> Tensor:
        """Hidden states behind the last norm, and the cache taken further.

        Args:
            starts_R: Place of each row's first new token.
            first_row: The rows are this one and those behind it.
            num_keys: No new token lies at this place or behind it.

        Returns:
            [R, T, D].
        """
        return run_step(self.state, ids_RT, starts_R, first_row, num_keys)

    def step_shape(self, num_rows: int, num_tokens: int, num_keys: int) -> tuple[int, int, int]:
        """The shape in which a step over the first rows is to be asked for: rows, tokens, keys; none less than here."""
        compiled = self._compiler.shape(self.state, num_rows, num_tokens, num_keys) if self._compiler else None
        return compiled or (num_rows, num_tokens, num_keys)

    def step(self, ids_RT: Tensor, starts_R: Tensor, num_keys: int) -> Tensor:
        """`forward` from the first row on, in a shape that `step_shape` gave."""
        shape = *ids_RT.shape, num_keys
        if self._compiler and self._compiler.shape(self.state, *shape) == shape:
            return self._compiler.run(self.state, ids_RT, starts_R, num_keys)
        return self.forward(ids_RT, starts_R, 0, num_keys)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first places of a row over another's."""
        for cache in (*self.state.keys, *self.state.values):
            rows = cache.view(self._shape)
            rows[target, :, :length] = rows[source, :, :length]


@dataclass(frozen=True, eq=False)
class State:
    """What a step reads, and the caches that it writes. Each cache is a tensor of its own, and flat: a compiler writes it in place then."""

    embedding: nn.Module
    layers: "list[_Layer]"
    norm: nn.Module
    keys: list[Tensor]  # of each layer [R * G * K, E]
    values: list[Tensor]  # of each layer [R * G * K, E]
    cos_KE: Tensor
    sin_KE: Tensor
    places_K: Tensor
    shape: tuple[int, int, int, int]  # R, G, K, E of a cache

    def tensors(self) -> list[Tensor]:
        """Those that are no parameters, and stay where they are."""
        own = [tensor for layer in self.layers for tensor in (layer.gamma, layer.beta)]
        return [*self.keys, *self.values, self.cos_KE, self.sin_KE, self.places_K, *own]


class Compiler(Protocol):
    """See `jobs.lm.sampling.compiled`."""

    def prepare(self, state: State) -> None: ...

    def shape(self, state: State, num_rows: int, num_tokens: int, num_keys: int) -> tuple[int, int, int] | None: ...

    def run(self, state: State, ids_RT: Tensor, starts_R: Tensor, num_keys: int) -> Tensor: ...


def run_step(state: State, ids_RT: Tensor, starts_R: Tensor, first_row: int, num_keys: int) -> Tensor:
    """See `Decoder.forward`."""
    (R, T), (_, G, K, _) = ids_RT.shape, state.shape
    places_RT = starts_R[:, None] + state.places_K[:T]
    heads = torch.arange(first_row * G, (first_row + R) * G, device=starts_R.device).view(R, G, 1)
    flat = (heads * K + places_RT[:, None]).flatten()
    rotary = state.cos_KE[places_RT][:, :, None], state.sin_KE[places_RT][:, :, None]
    hidden_ND = state.embedding(ids_RT).flatten(0, 1)
    mask = torch.zeros(R, 1, T, num_keys, dtype=hidden_ND.dtype, device=hidden_ND.device)
    mask = mask.masked_fill(state.places_K[:num_keys] > places_RT[:, None, :, None], -torch.inf)
    seen = slice(first_row, first_row + R), slice(None), slice(num_keys)
    for layer, keys, values in zip(state.layers, state.keys, state.values, strict=True):
        cache = _Cache(keys, values, state.shape, flat, seen, mask)
        hidden_ND = layer.forward(hidden_ND, (R, T), rotary, cache)
    return normed(state.norm, hidden_ND).view(R, T, -1)


class _Cache(NamedTuple):
    """A layer's keys and values in one step."""

    keys: Tensor
    values: Tensor
    shape: tuple[int, int, int, int]
    flat: Tensor  # where the new ones go
    seen: tuple[slice, slice, slice]  # what is read
    mask: Tensor


class _Layer:
    """One layer of the backbone, without the wrappers."""

    def __init__(self, layer: nn.Module, *, swin: bool):
        attention = layer.self_attn
        self._layer, self._attention, self._swin = layer, attention, swin
        self._heads = attention.num_heads, attention.num_key_value_heads, attention.head_dim
        self.gamma = torch.cat([attention.q_norm.weight, attention.k_norm.weight]).detach()
        self.beta = torch.cat([attention.q_norm.bias, attention.k_norm.bias]).detach()

    def forward(self, hidden_ND: Tensor, shape: tuple[int, int], rotary: tuple[Tensor, Tensor], cache: _Cache) -> Tensor:
        layer = self._layer
        if self._swin:
            hidden_ND = hidden_ND + normed(layer.input_layernorm, self._attend(hidden_ND, shape, rotary, cache))
            return hidden_ND + normed(layer.post_attention_layernorm, self._mlp(hidden_ND))
        hidden_ND = hidden_ND + self._attend(normed(layer.input_layernorm, hidden_ND), shape, rotary, cache)
        return hidden_ND + self._mlp(normed(layer.post_attention_layernorm, hidden_ND))

    def _attend(self, x_ND: Tensor, shape: tuple[int, int], rotary: tuple[Tensor, Tensor], cache: _Cache) -> Tensor:
        (R, T), (H, G, E), attention = shape, self._heads, self._attention
        both = torch.cat([project(attention.q_proj, x_ND), project(attention.k_proj, x_ND)], 1).view(R, T, H + G, E)
        both = torch.addcmul(self.beta, F.layer_norm(both, (E,), eps=1e-5), self.gamma)
        cos, sin = rotary
        turned = torch.cat((-both[..., E // 2 :], both[..., : E // 2]), -1)
        both = torch.addcmul(both * cos, turned, sin)
        both = both.transpose(1, 2)
        own_values = project(attention.v_proj, x_ND).view(R, T, G, E).transpose(1, 2)
        cache.keys.index_copy_(0, cache.flat, both[:, H:].reshape(-1, E))
        cache.values.index_copy_(0, cache.flat, own_values.reshape(-1, E))
        keys, values = (tensor.view(cache.shape)[cache.seen] for tensor in (cache.keys, cache.values))
        mixed = F.scaled_dot_product_attention(both[:, :H], keys, values, attn_mask=cache.mask, scale=attention.scaling, enable_gqa=H != G)
        return project(attention.o_proj, mixed.transpose(1, 2).reshape(R * T, H * E))

    def _mlp(self, x_ND: Tensor) -> Tensor:
        mlp = self._layer.mlp
        return project(mlp.down_proj, mlp.act_fn(project(mlp.gate_proj, x_ND)) * project(mlp.up_proj, x_ND))


def normed(norm: nn.Module, x_ND: Tensor) -> Tensor:
    """A root-mean-square norm, in one pass."""
    return F.rms_norm(x_ND, (x_ND.shape[1],), norm.weight, norm.variance_epsilon)


def project(linear: nn.Module, x_ND: Tensor) -> Tensor:
    """A linear layer, or what stands in its place, as fast as the number of rows allows."""
    if type(linear) is not nn.Linear:
        return linear(x_ND)
    product = times(x_ND, linear.weight)
    return product if linear.bias is None else product + linear.bias


def times(x_ND: Tensor, weight_CD: Tensor) -> Tensor:
    """x W', [N, C]."""
    if x_ND.device.type != "cpu" or x_ND.dtype != torch.float32 or not _other_way(len(x_ND), *weight_CD.shape):
        return F.linear(x_ND, weight_CD)
    few_ND = x_ND.expand(2, -1) if len(x_ND) == 1 else x_ND
    return torch.mm(weight_CD, few_ND.contiguous().t()).t()[: len(x_ND)]


def _other_way(rows: int, C: int, D: int) -> bool:
    """Whether W x' is faster than x W', in float32 on a CPU; measured on an EPYC with MKL, weights out of the cache.

    rows      1 thread                       2 threads
    2 to 4    1.7 to 4.7 times as fast
    5 to 8    1.0 to 1.5, a head 2.9         1.4, a head 1.9     and where D is above C, half as fast
    12        0.6
    16        0.9                            1.1 to 1.3
    """
    if rows <= 4:
        return True
    if rows <= 8:
        return C >= D
    return rows == 16 and (torch.compiler.is_compiling() or torch.get_num_threads() > 1)  # a compiler cannot ask
