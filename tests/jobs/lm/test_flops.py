"""The arithmetic that is counted."""

import pytest
import torch

from jobs.lm.batches import lay_out
from jobs.lm.flops import peak_flops, work_of
from tests.jobs.lm.tiny import mixed_sequences, tiny_model


def test_padding_is_not_counted_and_pairs_do_not_cross_sequences():
    sequences = mixed_sequences(4)
    lengths = [len(sequence.input_ids) for sequence in sequences]
    for rows, window in (([sequences], sum(lengths) + 50), ([[sequence] for sequence in sequences], max(lengths))):
        batch = lay_out(rows, window)
        assert batch.num_tokens == sum(lengths)
        assert batch.num_pairs == sum(length * (length + 1) // 2 for length in lengths)
        assert batch.num_images == 4


def test_the_work_is_that_of_the_matrix_products():
    """A token passes each matrix of a layer once forward, and a backward is twice a forward; torch's own counter agrees."""
    from torch.utils.flop_counter import FlopCounterMode

    model = tiny_model()
    model.model.set_attn_implementation("eager")  # fused attention is not counted on a CPU
    T = 40
    ids = torch.arange(T)[None]
    with FlopCounterMode(display=False) as counter:
        hidden = model(ids, torch.arange(T)[None])
        model.lm_head(hidden).sum().backward()
    work = work_of(model, model.config.vocab_size)
    assert counter.get_total_flops() == work.flops(T, T * T, T)  # eager attention computes the whole square


@pytest.mark.parametrize("tflops, dtype, wanted", [(2.0, "float32", 2e12), (0.0, "bfloat16", 0.0)])
def test_a_peak_is_stated_or_of_a_known_gpu(tflops, dtype, wanted):
    assert peak_flops(tflops, dtype, torch.device("cpu")) == wanted


@pytest.mark.parametrize("name, tflops", [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA H200", 989), ("Quadro", 0)])
def test_gpus_are_known_by_name(monkeypatch, name, tflops):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(0.0, "bfloat16", torch.device("cuda")) == tflops * 1e12
    assert peak_flops(0.0, "float32", torch.device("cuda")) == 0
