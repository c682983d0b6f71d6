"""The network is what its config says."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pipeline.errors import RecipeError
from tokenizer.vq.config import parse_config, read_config
from tokenizer.vq.network import VQGAN, Codebook

CHAMELEON = {
    "attn_resolutions": [],
    "ch": 128,
    "ch_mult": [1, 1, 2, 2, 4],
    "double_z": False,
    "dropout": 0.0,
    "in_channels": 3,
    "num_res_blocks": 2,
    "out_ch": 3,
    "resolution": 512,
    "z_channels": 256,
}
SMALL = CHAMELEON | {"ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1, "z_channels": 8, "resolution": 32}


def document(ddconfig, n_embed=64, embed_dim=8, **params):
    return {"model": {"params": {"ddconfig": ddconfig, "n_embed": n_embed, "embed_dim": embed_dim, **params}}}


def build(ddconfig, **sizes):
    torch.manual_seed(0)
    return VQGAN(parse_config(document(ddconfig, **sizes), "vqgan.yaml")).eval()


def round_trip(network, height, width):
    with torch.inference_mode():
        codes = network.codes(network.encode(torch.rand(2, 3, height, width) * 2 - 1))
        return codes, network.decode(network.vectors(codes))


def test_the_published_shape_can_be_built_and_run():
    network = build(CHAMELEON, n_embed=8192, embed_dim=256)
    codes, picture = round_trip(network, 32, 48)
    assert codes.shape == (2, 2, 3)
    assert picture.shape == (2, 3, 32, 48)


def test_names_are_those_of_the_published_checkpoint():
    names = set(build(CHAMELEON, n_embed=16, embed_dim=256).state_dict())
    for name in (
        "encoder.conv_in.weight",
        "encoder.down.2.block.0.nin_shortcut.weight",
        "encoder.down.3.downsample.conv.bias",
        "encoder.mid.attn_1.proj_out.weight",
        "encoder.norm_out.weight",
        "decoder.mid.block_2.conv2.bias",
        "decoder.up.0.block.2.norm1.weight",
        "decoder.up.4.upsample.conv.weight",
        "quantize.embedding.weight",
        "quant_conv.weight",
        "post_quant_conv.bias",
    ):
        assert name in names
    assert not any(name.startswith(("encoder.down.4.downsample", "decoder.up.0.upsample", "decoder.up.5")) for name in names)


def test_attention_stands_where_the_config_asks_for_it():
    names = set(build(SMALL | {"attn_resolutions": [16]}).state_dict())
    assert "encoder.down.1.attn.0.q.weight" in names
    assert "decoder.up.1.attn.1.q.weight" in names
    assert not any(".0.attn." in name for name in names)


def test_a_folded_encoder_beside_another_decoder():
    shape = SMALL | {"patch_size": 4, "mid_attention": False, "mid_blocks": 1, "num_groups": 8}
    network = build(shape | {"decoder": {"ch": 16, "ch_mult": [1, 1, 2], "num_res_blocks": 0, "patch_size": 2}})
    codes, picture = round_trip(network, 32, 16)
    assert codes.shape == (2, 4, 2)
    assert picture.shape == (2, 3, 32, 16)
    assert network.encoder.conv_in.weight.shape == (32, 48, 3, 3)
    assert not any("attn" in name or "block_2" in name for name in network.state_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chh": 3}, "unknown key 'chh'; did you mean 'ch'"),
        ({"double_z": True}, "double_z"),
        ({"in_channels": 1}, "RGB"),
        ({"ch": 20}, "20 channels in ddconfig do not divide into 32 groups"),
        ({"ch": "128"}, "ddconfig.ch: wants int"),
        ({"num_res_blocks": 0}, "at least 1"),
        ({"ch_mult": []}, "at least 1"),
        ({"mid_blocks": 3}, "mid_blocks"),
        ({"decoder": {"ch_mult": [1, 1, 1]}}, "the encoder makes 2 pixels a code, the decoder 4"),
        ({"decoder": {"z_channels": 4}}, "ddconfig.decoder: unknown key 'z_channels'"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        parse_config(document(SMALL | change), "vqgan.yaml")


def test_a_key_that_is_missing_is_named():
    shape = copy.deepcopy(SMALL)
    del shape["z_channels"]
    with pytest.raises(RecipeError, match="missing key 'z_channels'"):
        parse_config(document(shape), "vqgan.yaml")


@pytest.mark.parametrize("params", [{"n_embed": 0}, {"embed_dim": None}, {"remap": "codes.npy"}])
def test_sizes_and_foreign_keys_beside_the_ddconfig_are_checked(params):
    with pytest.raises(RecipeError, match=next(iter(params))):
        parse_config(document(SMALL) | {"model": {"params": document(SMALL)["model"]["params"] | params}}, "vqgan.yaml")


@pytest.mark.parametrize("text", ["", "- a list", "model: 3", "model: {params: {}}", "a: b: c"])
def test_a_file_that_is_no_vqgan_yaml_is_refused(tmp_path, text):
    (tmp_path / "vqgan.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"vqgan\.yaml"):
        read_config(str(tmp_path / "vqgan.yaml"))


def test_what_only_training_reads_is_ignored(tmp_path):
    (tmp_path / "vqgan.yaml").write_text(yaml.safe_dump(document(SMALL, lossconfig={"target": "dummy"}, ckpt_path=None)))
    assert read_config(str(tmp_path / "vqgan.yaml")).downsample == 2


def test_the_nearest_code_is_found_and_ties_go_to_the_lower_one():
    book = Codebook(4, 2)
    book.embedding.weight.data = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    assert book.nearest(torch.tensor([[0.9, 0.1], [0.0, 4.0], [-3.0, 0.0]])).tolist() == [1, 3, 0]


def test_the_search_gives_the_same_in_pieces(monkeypatch):
    torch.manual_seed(0)
    book, vectors = Codebook(50, 4), torch.randn(100, 4)
    whole = book.nearest(vectors)
    monkeypatch.setattr("tokenizer.vq.network.ROWS_IN_CACHE", 7)
    assert torch.equal(book.nearest(vectors), whole)
    assert torch.equal(whole, torch.cdist(vectors, book.embedding.weight).argmin(1))


@pytest.mark.parametrize("num_codes", [1, 37, 128, 257, 384])
def test_the_search_finds_the_nearest_in_a_codebook_of_any_size(num_codes):
    torch.manual_seed(num_codes)
    book, vectors = Codebook(num_codes, 4), torch.randn(300, 4)
    book.embedding.weight.data.normal_()
    assert torch.equal(book.nearest(vectors), exactly(book, vectors))


def test_the_bundled_config_is_read():
    config = read_config(str(Path(__file__).parents[3] / "tokenizer" / "vq" / "bundled" / "vqgan.yaml"))
    assert (config.num_codes, config.downsample) == (8192, 16)


def exactly(book, vectors):
    """Every vector with every code, by the reference's sum with each part rounded once."""
    z, weight = vectors.double().numpy(), book.embedding.weight.detach().double().numpy()
    of_z, of_weight, of_both = (x.astype(np.float32) for x in ((z**2).sum(1)[:, None], (weight**2).sum(1)[None], 2 * z @ weight.T))
    return torch.from_numpy((of_z + of_weight - of_both).argmin(1))


@pytest.mark.parametrize("dim", [4, 16, 256])
def test_near_ties_are_settled_as_if_every_part_were_rounded_once(dim):
    generator = torch.Generator().manual_seed(dim)
    book = Codebook(64, dim)
    first = torch.randn(32, dim, generator=generator)
    book.embedding.weight.data = torch.cat([first, first + 1e-6 * torch.randn(32, dim, generator=generator)])  # each code has a twin
    vectors = torch.randn(300, dim, generator=generator)
    weight = book.embedding.weight
    rounded = (weight.square().sum(1) - 2 * vectors @ weight.T + vectors.square().sum(1, keepdim=True)).argmin(1)
    assert torch.equal(book.nearest(vectors), exactly(book, vectors))
    assert not torch.equal(rounded, exactly(book, vectors))  # or this test would show nothing


def test_of_equal_codes_the_lowest_is_taken(monkeypatch):
    monkeypatch.setattr("tokenizer.vq.network.PAIRS_AT_ONCE", 10)
    book = Codebook(64, 8)
    book.embedding.weight.data = torch.randn(16, 8, generator=torch.Generator().manual_seed(0)).repeat(4, 1)
    vectors = torch.randn(100, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(book.nearest(vectors), exactly(book, vectors))
    assert int(book.nearest(vectors).max()) < 16
    book.embedding.weight.data.zero_()
    assert set(book.nearest(vectors).tolist()) == {0}
