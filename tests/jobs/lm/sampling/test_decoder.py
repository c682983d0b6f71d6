"""The decoder against transformers' own forward."""

import pytest
import torch
from transformers import ChameleonConfig

from jobs.lm.model import LanguageModel
from jobs.lm.sampling.decoder import Decoder, times
from tests.jobs.lm.tiny import TEXT, tiny_model


@pytest.mark.parametrize("swin_norm", [False, True])
@pytest.mark.parametrize("kv_heads", [2, 1])
def test_rows_of_different_lengths_fed_piece_by_piece_equal_whole_forwards(swin_norm, kv_heads):
    model = with_kv_heads(tiny_model(swin_norm=swin_norm), kv_heads)
    ids = torch.randint(0, TEXT.vocab.size, (3, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = model(ids, torch.arange(20).expand(3, 20))
        decoder = Decoder(model, 3, 24)
        for row, length in enumerate((4, 9, 1)):
            alone = decoder.forward(ids[row : row + 1, :length], torch.tensor([0]), row, length)
            assert torch.allclose(alone[0], whole[row, :length], atol=1e-4)
        starts = torch.tensor([4, 9, 1])
        for fed, padding in ((1, 2), (3, 0), (5, 1)):
            places = starts[:, None] + torch.arange(fed + padding)
            chunk = ids.gather(1, places.clamp(max=19))
            chunk[:, fed:] = 7
            hidden = decoder.forward(chunk, starts, 0, int(starts.max()) + fed + padding)
            for row, start in enumerate(starts.tolist()):
                assert torch.allclose(hidden[row, :fed], whole[row, start : start + fed], atol=1e-4)
            starts = starts + fed
        decoder.move(1, 0, 18)
        hidden = decoder.forward(ids[1:2, 18:19], torch.tensor([18]), 0, 19)
        assert torch.allclose(hidden[0, 0], whole[1, 18], atol=1e-4)


def test_a_product_of_few_rows_is_the_same_product():
    weight, x = torch.randn(50, 30), torch.randn(20, 30)
    for rows in (1, 2, 4, 5, 8, 9, 16):
        assert torch.allclose(times(x[:rows], weight), x[:rows] @ weight.T, atol=1e-4)
        assert torch.allclose(times(x.T.contiguous().T[:rows], weight), x[:rows] @ weight.T, atol=1e-4)


def with_kv_heads(model: LanguageModel, kv_heads: int) -> LanguageModel:
    if kv_heads == 2:
        return model
    config = ChameleonConfig.from_dict(model.config.to_dict() | {"num_key_value_heads": kv_heads})
    torch.manual_seed(0)
    other = LanguageModel(config).eval()
    for parameter in other.parameters():
        if parameter.ndim == 2 and parameter.shape[0] != parameter.shape[1]:
            parameter.data.mul_(10)
    return other
