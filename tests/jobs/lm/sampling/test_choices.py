"""The draw: its distribution, its top k, and its short cut."""

import numpy as np
import pytest
import torch

from jobs.lm.noise import gumbel
from jobs.lm.sampling.choices import code_choices, draw, size_choices, text_choices
from tests.jobs.lm.tiny import NAMES, TEXT, tiny_model


@pytest.mark.parametrize("top_k, wanted", [(4, [0.5, 0.3, 0.15, 0.05]), (2, [0.625, 0.375, 0, 0]), (1, [1, 0, 0, 0])])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_noise_and_argmax_draw_from_the_softmax_of_the_top(top_k, wanted, temperature):
    count = 20_000
    noise = gumbel(0, 0, range(count), 4)
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(count, 4)
    drawn = draw(logits, noise, torch.full((count,), top_k), torch.full((count,), temperature))
    shares = np.array(wanted) ** (1 / temperature)
    assert np.allclose(np.bincount(drawn.numpy(), minlength=4) / count, shares / shares.sum(), atol=0.012)


def test_the_short_cut_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(400, 50, generator=generator).round(decimals=1)  # with ties
    noise = gumbel(0, 0, range(400), 50)
    top_k = torch.randint(1, 60, (400,), generator=generator)
    temperature = torch.rand(400, generator=generator) + 0.5
    drawn = draw(logits, noise, top_k, temperature)
    for row in range(400):
        lowest = logits[row].sort(descending=True).values[min(int(top_k[row]), 50) - 1]
        values = logits[row] / temperature[row] + noise[row]
        assert drawn[row] == values.masked_fill(logits[row] < lowest, -torch.inf).argmax()
    assert (drawn != (logits / temperature[:, None] + noise).argmax(1)).any(), "the short cut is not always enough"


def test_choices_are_the_ids_of_their_kind_with_noise_of_their_own():
    model, vocab = tiny_model(), TEXT.vocab
    codes, sizes, texts = code_choices(model, vocab, 100), size_choices(model, vocab), text_choices(model, vocab, NAMES)
    assert codes.ids_C.tolist() == list(vocab.codes[:100])
    assert sizes.ids_C.tolist() == list(range(8805, 8805 + 512))
    assert texts.ids_C.tolist() == [8197, 8710, *range(16388, vocab.size)]
    assert torch.equal(codes.noise(1, 2, [3, 4]), gumbel(1, 2, [3, 4], 100))
    assert torch.equal(texts.noise(1, 2, [3])[0], gumbel(1, 2, [3], vocab.size)[0, texts.ids_C])
    hidden = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    for choices in (codes, sizes, texts):
        assert torch.allclose(choices.logits(hidden), model.lm_head(hidden)[:, choices.ids_C], atol=1e-4)
