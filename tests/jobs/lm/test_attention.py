"""The kinds of attention against one another: the same masks, losses and gradients.

torch refuses the backward of flex on a CPU, where it has no kernel; its plain implementation is there all the same, and these tests use it.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.attention import flex_attention

from jobs.lm.attention import BLOCK, attend, attention_mask, block_mask, bounds, set_kind, use_attention
from jobs.lm.batches import Batch, lay_out
from jobs.lm.loss import batch_loss
from jobs.lm.model import LanguageModel
from pipeline.errors import RecipeError
from tests.jobs.lm.tiny import mixed_sequences, tiny_model


@pytest.fixture
def flex_backward(monkeypatch) -> Iterator[None]:
    """flex_attention as it is, uncompiled, with a backward."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    monkeypatch.setattr(flex_attention, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    yield


def model_of(kind: str) -> LanguageModel:
    model = tiny_model()
    set_kind(model, kind)
    return model


def loss_and_gradients(kind: str, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    model = model_of(kind)
    hidden = model(batch.ids_BT, batch.position_ids_BT, attention_mask(batch, kind))
    loss = batch_loss(hidden, model.lm_head.weight, batch, z_loss=1e-5)
    loss.total.backward()
    return loss.total.item(), {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_close(one: tuple[float, dict[str, Tensor]], other: tuple[float, dict[str, Tensor]]) -> None:
    assert one[0] == pytest.approx(other[0], abs=1e-5)
    for name, gradient in one[1].items():
        assert gradient.abs().max() > 0, name
        assert torch.allclose(gradient, other[1][name], rtol=0, atol=1e-5), name


def packed_batch(window: int = 300) -> Batch:
    sequences = mixed_sequences(8)
    return lay_out([sequences[:3], sequences[3:4], sequences[4:8]], window)


def random_segments(lengths: list[int], window: int) -> Tensor:
    """One window; what is left belongs to the last sequence."""
    segments = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return torch.cat([segments, segments.new_full((window - len(segments),), len(lengths) - 1)])[None].int()


@pytest.mark.parametrize(
    ("lengths", "window"),
    [([40], 40), ([128, 128], 256), ([127, 129], 256), ([1, 1, 125, 2, 300, 90], 600), ([600, 20], 641), ([5] * 60, 384)],
)
def test_the_blocks_say_what_the_dense_mask_says(lengths, window):
    segments = random_segments(lengths, window)
    dense = (segments[:, :, None] == segments[:, None, :])[0] & torch.ones(window, window, dtype=torch.bool).tril()
    mask = block_mask(segments)
    assert mask.shape == (1, 1, window, window)
    N = -(-window // BLOCK)
    partial, full = (torch.zeros(N, N, dtype=torch.bool) for _ in range(2))
    for blocks, numbers, indices in (
        (partial, mask.kv_num_blocks, mask.kv_indices),
        (full, mask.full_kv_num_blocks, mask.full_kv_indices),
    ):
        for row in range(N):
            blocks[row, indices[0, 0, row, : numbers[0, 0, row]].long()] = True
    assert not (partial & full).any()
    for row in range(N):
        for column in range(N):
            here = dense[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK]
            assert (partial | full)[row, column] == here.any()
            assert not full[row, column] or here.all()
    places = torch.arange(window)
    by_rule = mask.mask_mod(torch.tensor(0), torch.tensor(0), places[:, None], places[None])
    assert torch.equal(by_rule, dense)


@pytest.fixture(scope="module")
def wanted() -> tuple[float, dict[str, Tensor]]:
    """Of sequences that lie in windows of their own."""
    return loss_and_gradients("sdpa", lay_out([[sequence] for sequence in mixed_sequences(8)], 110))


@pytest.mark.parametrize("kind", ["split", "flex", "sdpa"])
def test_packed_windows_give_the_loss_and_the_gradients_of_separate_sequences(flex_backward, wanted, kind):
    """And so each kind gives those of each other."""
    assert_close(loss_and_gradients(kind, packed_batch()), wanted)


def test_windows_of_one_sequence_want_no_mask(wanted):
    batch = lay_out([[sequence] for sequence in mixed_sequences(8)], 110)
    assert attention_mask(batch, "flex") is None
    assert_close(loss_and_gradients("flex", batch), wanted)


@pytest.mark.parametrize("kind", ["split", "flex"])
def test_the_dense_mask_is_never_made(monkeypatch, kind):
    """And a window of 24,576 tokens takes little memory."""
    monkeypatch.setattr(Batch, "mask_B1TT", property(lambda batch: pytest.fail("a dense mask")))
    batch = lay_out([mixed_sequences(12)], 24_576)
    mask = attention_mask(batch, kind)
    tensors = [mask] if kind == "split" else [value for value in mask.as_tuple() if isinstance(value, Tensor)]
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) < 2 << 20


@pytest.mark.parametrize("kind", ["split", "flex"])
def test_bfloat16_arithmetic_takes_norms_in_float32(flex_backward, kind):
    batch, model = packed_batch(), model_of(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(batch.ids_BT, batch.position_ids_BT, attention_mask(batch, kind))
    exact = tiny_model()(batch.ids_BT, batch.position_ids_BT, batch.mask_B1TT)
    assert (rough.float() - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("kind", ["split", "flex"])
def test_shared_heads_of_keys_are_attended_to(flex_backward, kind):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 4, 200, 16, generator=generator)
    key, value = (torch.randn(1, 2, 200, 16, generator=generator) for _ in range(2))
    segments = random_segments([90, 110], 200)
    dense = (segments[:, :, None] == segments[:, None, :])[:, None] & torch.ones(200, 200, dtype=torch.bool).tril()
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=dense, enable_gqa=True)
    mask = bounds([(90, 110)]) if kind == "split" else block_mask(segments)
    got, _ = attend(torch.nn.Module(), query, key, value, mask, scaling=16**-0.5)
    assert torch.allclose(got.transpose(1, 2), wanted, atol=1e-5)


def test_without_a_gpu_sequences_are_split_and_flex_is_refused():
    model = tiny_model()
    for kind, compiled, chosen in (("auto", False, "split"), ("auto", True, "sdpa"), ("sdpa", False, "sdpa"), ("split", True, "split")):
        assert use_attention(model, kind, compiled=compiled) == chosen
        assert (model.model.config._attn_implementation == "sdpa") == (chosen == "sdpa")
    with pytest.raises(RecipeError, match=r"train\.attention"):
        use_attention(model, "flex", compiled=False)
