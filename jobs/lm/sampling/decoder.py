"""The backbone over a static cache: rows of different lengths, a few new tokens each.

    row 0   k k k k k k q q . . .        a row's own tokens lie from 0, so its places are its positions
    row 1   k k q x . . . . . . .        q new tokens; x padding, overwritten before anything sees it

The same arithmetic as transformers' Chameleon, whose modules hold the weights, without its masks, caches and wrappers: on a CPU these cost
as much as the products themselves. And a product of few rows is faster the other way round there: MKL runs W x' at the speed of memory
where x lies row by row, x W' at a third of it, and one row slower than two (1 to 4 rows in float32, measured on an EPYC).

Shapes: R rows, T new tokens a row, K places in the cache, H heads, G heads of keys, E size of a head, D hidden size, N = R T.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.lm.model import LanguageModel

MOST = 4  # rows of a product that is done the other way round


class Decoder:
    """A model and the keys and values of some rows.

    Args:
        num_places: Tokens that a row can hold.
    """

    def __init__(self, model: LanguageModel, num_rows: int, num_places: int):
        self.model = model
        layers = list(model.model.layers)
        G, E = layers[0].self_attn.num_key_value_heads, layers[0].self_attn.head_dim
        weight = model.lm_head.weight
        shape = (len(layers), num_rows, G, num_places, E)  # a head's keys lie together: twice as fast to read as a place's
        self.keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.values = torch.zeros_like(self.keys)
        places = torch.arange(num_places, device=weight.device)
        cos, sin = model.model.rotary_emb(weight, places[None])
        self._cos_KE, self._sin_KE = cos[0], sin[0]
        self._places_K = places
        self._layers = [_Layer(layer, swin=model.config.swin_norm) for layer in layers]

    def forward(self, ids_RT: Tensor, starts_R: Tensor, first_row: int, num_keys: int) -> Tensor:
        """Hidden states behind the last norm, and the cache taken further.

        Args:
            starts_R: Place of each row's first new token.
            first_row: The rows are this one and those behind it.
            num_keys: No new token lies at this place or behind it.

        Returns:
            [R, T, D].
        """
        R, T = ids_RT.shape
        places_RT = starts_R[:, None] + self._places_K[:T]
        _, _, G, K, _ = self.keys.shape
        heads = torch.arange(first_row * G, (first_row + R) * G, device=starts_R.device).view(R, G, 1)
        flat = (heads * K + places_RT[:, None]).flatten()
        cos, sin = self._cos_KE[places_RT][:, :, None], self._sin_KE[places_RT][:, :, None]
        hidden_ND = self.model.model.embed_tokens(ids_RT).flatten(0, 1)
        mask = self.keys.new_zeros(R, 1, T, num_keys)
        mask.masked_fill_(self._places_K[:num_keys] > places_RT[:, None, :, None], -torch.inf)
        seen = slice(first_row, first_row + R), slice(None), slice(num_keys)
        for layer, keys, values in zip(self._layers, self.keys, self.values, strict=True):
            hidden_ND = layer.forward(hidden_ND, (R, T), (cos, sin), flat, keys, values, seen, mask)
        return normed(self.model.model.norm, hidden_ND).view(R, T, -1)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first places of a row over another's."""
        for cache in (self.keys, self.values):
            cache[:, target, :, :length] = cache[:, source, :, :length]


class _Layer:
    """One layer of the backbone, without the wrappers."""

    def __init__(self, layer: nn.Module, *, swin: bool):
        attention = layer.self_attn
        self._layer, self._attention, self._swin = layer, attention, swin
        self._heads = attention.num_heads, attention.num_key_value_heads, attention.head_dim
        self._gamma = torch.cat([attention.q_norm.weight, attention.k_norm.weight])
        self._beta = torch.cat([attention.q_norm.bias, attention.k_norm.bias])

    def forward(
        self,
        hidden_ND: Tensor,
        shape: tuple[int, int],
        rotary: tuple[Tensor, Tensor],
        flat: Tensor,
        keys: Tensor,
        values: Tensor,
        seen: tuple[slice, slice, slice],
        mask: Tensor,
    ) -> Tensor:
        layer = self._layer
        if self._swin:
            added = self._attend(hidden_ND, shape, rotary, flat, keys, values, seen, mask)
            hidden_ND = hidden_ND + normed(layer.input_layernorm, added)
            return hidden_ND + normed(layer.post_attention_layernorm, self._mlp(hidden_ND))
        inner = normed(layer.input_layernorm, hidden_ND)
        hidden_ND = hidden_ND + self._attend(inner, shape, rotary, flat, keys, values, seen, mask)
        return hidden_ND + self._mlp(normed(layer.post_attention_layernorm, hidden_ND))

    def _attend(
        self,
        x_ND: Tensor,
        shape: tuple[int, int],
        rotary: tuple[Tensor, Tensor],
        flat: Tensor,
        keys_RGKE: Tensor,
        values_RGKE: Tensor,
        seen: tuple[slice, slice, slice],
        mask: Tensor,
    ) -> Tensor:
        (R, T), (H, G, E), attention = shape, self._heads, self._attention
        both = torch.cat([project(attention.q_proj, x_ND), project(attention.k_proj, x_ND)], 1).view(R, T, H + G, E)
        both = torch.addcmul(self._beta, F.layer_norm(both, (E,), eps=1e-5), self._gamma)
        cos, sin = rotary
        turned = torch.cat((-both[..., E // 2 :], both[..., : E // 2]), -1)
        both = torch.addcmul(both * cos, turned, sin)
        both = both.transpose(1, 2)
        own_values = project(attention.v_proj, x_ND).view(R, T, G, E).transpose(1, 2)
        keys_RGKE.view(-1, E).index_copy_(0, flat, both[:, H:].reshape(-1, E))
        values_RGKE.view(-1, E).index_copy_(0, flat, own_values.reshape(-1, E))
        queries, seen_keys, seen_values = both[:, :H], keys_RGKE[seen], values_RGKE[seen]
        mixed = F.scaled_dot_product_attention(queries, seen_keys, seen_values, attn_mask=mask, scale=attention.scaling, enable_gqa=H != G)
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
    if len(x_ND) > MOST or x_ND.dtype != torch.float32 or x_ND.device.type != "cpu":
        return F.linear(x_ND, weight_CD)
    few_ND = x_ND.expand(2, -1) if len(x_ND) == 1 else x_ND
    return torch.mm(weight_CD, few_ND.contiguous().t()).t()[: len(x_ND)]
