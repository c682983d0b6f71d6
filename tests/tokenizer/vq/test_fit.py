"""The trainer learns, resumes exactly, and its parts do what they say."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pipeline.errors import RecipeError, ResumeError
from pipeline.samples import BadSample, Sample
from pipeline.sources.shapes import Shapes
from tokenizer.vq import ChameleonVQ
from tokenizer.vq.codebook import CodebookAverages, kmeans
from tokenizer.vq.fit import fit_vq
from tokenizer.vq.fit_options import CodebookOptions, FitOptions, LossWeights
from tokenizer.vq.losses import reconstruction_loss
from tokenizer.vq.network import Codebook
from tokenizer.vq.pictures import Pool, central_squares, draw_crops, load_pool

SHAPE = {
    "ch": 16,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "z_channels": 8,
    "resolution": 32,
    "patch_size": 2,
    "num_groups": 4,
    "mid_attention": False,
    "mid_blocks": 1,
}


@pytest.fixture(scope="module")
def pools():
    return [load_pool(Shapes(count=12, sizes=("48x32",)), weight=1.0, max_side=32, min_side=16, max_bytes=10**7)]


@pytest.fixture
def options(tmp_path):
    config = tmp_path / "vqgan.yaml"
    config.write_text(yaml.safe_dump({"model": {"params": {"ddconfig": SHAPE, "n_embed": 32, "embed_dim": 4}}}))
    return FitOptions(
        config=str(config),
        output=str(tmp_path / "out"),
        steps=40,
        threads=1,
        crop_sizes=(16, 32),
        batch_pixels=8 * 16 * 16,
        plain_steps=10,
        swapped_colors=0.0,
        learning_rate=3e-3,
        rise_steps=2,
        fall_steps=10,
        average_decay=0.9,
        report_every=10,
        save_every=20,
        held_out_size=32,
        codebook=CodebookOptions(kmeans_vectors=200, revive_every=5),
    )


def lines_of(options, pools):
    lines = []
    fit_vq(options, pools, pools, lines.append)
    return lines


def test_pictures_come_back_better_after_fitting(options, pools):
    first = fit_vq(replace(options, steps=0, output=options.output + "0"), pools, pools, lambda line: None)
    last = fit_vq(replace(options, steps=150), pools, pools, lambda line: None)
    assert last.psnr > first.psnr + 4
    assert last.codes_used > 8


def test_what_is_written_is_a_quantizer(options, pools):
    fit_vq(options, pools, pools, lambda line: None)
    vq = ChameleonVQ(f"{options.output}/vqgan.yaml", f"{options.output}/weights.safetensors").load()
    assert vq.decode(vq.encode(np.zeros((1, 32, 32, 3), np.uint8))).shape == (1, 32, 32, 3)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(options, pools):
    whole = [line for line in lines_of(options, pools) if "loss" in line]
    parted = replace(options, output=options.output + "2")

    def stop_at_30(line):
        if line.startswith("step 30/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_vq(parted, pools, pools, stop_at_30)
    resumed = [line for line in lines_of(parted, pools) if "loss" in line]
    assert [line.split(",")[0] for line in resumed] == [line.split(",")[0] for line in whole[2:]]  # from the checkpoint of step 20 on
    tensors = [torch.load(f"{o.output}/checkpoint.pt", weights_only=True)["network"] for o in (options, parted)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_another_network_s_checkpoint_is_not_taken_over(options, pools):
    fit_vq(replace(options, steps=1), pools, pools, lambda line: None)
    document = {"model": {"params": {"ddconfig": SHAPE | {"ch": 32}, "n_embed": 32, "embed_dim": 4}}}
    with open(options.config, "w") as file:
        yaml.safe_dump(document, file)
    with pytest.raises(ResumeError, match="belongs to another network"):
        fit_vq(options, pools, pools, lambda line: None)


def test_fewer_steps_than_are_done_are_refused(options, pools):
    fit_vq(replace(options, steps=2), pools, pools, lambda line: None)
    with pytest.raises(RecipeError, match="has done 2 already"):
        fit_vq(replace(options, steps=1), pools, pools, lambda line: None)


def test_fitting_can_begin_with_weights(options, pools):
    fit_vq(options, pools, pools, lambda line: None)
    again = replace(options, output=options.output + "2", start_from=f"{options.output}/weights.safetensors", steps=0)
    before = json.loads(Path(options.output, "log.jsonl").read_text().splitlines()[-1])["psnr"]
    assert fit_vq(again, pools, pools, lambda line: None).psnr == pytest.approx(before, abs=0.1)  # float16 on the way


def test_a_batch_shared_among_threads_gives_the_same_step(options, pools):
    alone, shared = (replace(options, output=options.output + str(n), threads=n, steps=2) for n in (1, 2))
    for each in (alone, shared):
        fit_vq(each, pools, pools, lambda line: None)
    one, two = (torch.load(f"{each.output}/checkpoint.pt", weights_only=True)["network"] for each in (alone, shared))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


def test_bfloat16_learns_too(options, pools):
    quick = replace(options, precision="bfloat16", steps=20)
    assert fit_vq(quick, pools, pools, lambda line: None).psnr > 5


def picture(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(buffer, "PNG")
    return Sample(f"{width}x{height}", images={"image": buffer.getvalue()})


class Few:
    """A source of a few given records."""

    def __init__(self, *records):
        self.records = records

    def plan(self, unit_size):
        return [0]

    def read(self, unit):
        yield from self.records


def test_pictures_are_reduced_and_useless_ones_counted():
    source = Few(
        picture(100, 60), picture(30, 40), picture(10, 300), Sample("a", images={"image": b"no"}), Sample("b"), BadSample("c", "x")
    )
    pool = load_pool(source, weight=1.0, max_side=32, min_side=16, max_bytes=10**6)
    assert [p.size for p in pool.pictures] == [(53, 32), (30, 40)]
    assert (pool.num_bad, pool.complete) == (4, True)


def test_reading_ends_where_the_memory_does():
    pool = load_pool(Few(*[picture(20, 20)] * 5), weight=1.0, max_side=32, min_side=16, max_bytes=2400)
    assert (len(pool.pictures), pool.complete) == (2, False)


def test_a_source_without_a_usable_picture_is_refused():
    with pytest.raises(RecipeError, match="no picture in the source could be used"):
        load_pool(Few(Sample("b")), weight=1.0, max_side=32, min_side=16, max_bytes=10**6)


def test_crops_depend_on_the_dice_alone_and_follow_the_weights():
    red = Pool([Image.new("RGB", (40, 30), (255, 0, 0))], 3.0, 0, True)
    blue = Pool([Image.new("RGB", (10, 90), (0, 0, 255))], 1.0, 0, True)
    crops = draw_crops([red, blue], 16, 400, 0.0, np.random.default_rng(0))
    assert np.array_equal(crops, draw_crops([red, blue], 16, 400, 0.0, np.random.default_rng(0)))
    assert 0.68 < (crops[:, 0, 0, 0] == 255).mean() < 0.82
    swapped = draw_crops([red], 16, 400, 0.5, np.random.default_rng(0))
    assert 0.55 < (swapped[:, 0, 0, 0] == 255).mean() < 0.78  # a third of the swaps leave red where it was
    assert central_squares([red, blue], 16).shape == (2, 16, 16, 3)


def test_equal_pictures_have_no_loss_and_a_blur_has_more_than_its_error():
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    flat = x.mean((2, 3), keepdim=True).expand_as(x)
    pixels_alone = LossWeights(coarse=0, gradient=0, energy=0)
    assert float(reconstruction_loss(x, x, LossWeights())) == 0
    error = (flat - x).abs().mean() + (flat - x).square().mean()
    assert float(reconstruction_loss(flat, x, pixels_alone)) == pytest.approx(float(error), rel=1e-5)
    coarse_alone = LossWeights(l1=0, l2=0, coarse=1, gradient=0, energy=0)
    assert float(reconstruction_loss(x + 0.25, x, coarse_alone)) == pytest.approx(0.25, rel=1e-4)
    tint = torch.tensor([0.25, -0.25, 0.25])[:, None, None]
    assert float(reconstruction_loss(x + tint, x, coarse_alone)) > 0.6
    shifted = x.flip(3)  # as much detail, elsewhere
    with_energy = LossWeights(l1=0, l2=0, coarse=0, gradient=0, energy=1)
    assert float(reconstruction_loss(shifted, x, with_energy)) < 0.3 * float(reconstruction_loss(flat, x, with_energy))


def clouds(generator):
    """Vectors around four places."""
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    return places.repeat_interleave(50, 0) + 0.1 * torch.randn(200, 2, generator=generator), places


def test_kmeans_finds_where_the_vectors_lie():
    generator = torch.Generator().manual_seed(1)
    vectors, places = clouds(generator)
    book = Codebook(8, 2)
    kmeans(vectors, book, 10, generator)
    assert (torch.cdist(places, book.embedding.weight).min(1).values < 0.3).all()


def test_averages_follow_the_encoder_and_dead_codes_begin_anew():
    generator = torch.Generator().manual_seed(0)
    vectors, _ = clouds(generator)
    book = Codebook(8, 2)
    book.embedding.weight.data = torch.full((8, 2), 1000.0)
    book.embedding.weight.data[0] = torch.tensor([1.0, 1.0])  # the only one that is ever the nearest
    averages = CodebookAverages(book, CodebookOptions(decay=0.5, dead_below=0.05), vectors_a_step=200)
    for _ in range(20):
        averages.update(vectors, book.nearest(vectors))
    assert torch.allclose(book.embedding.weight[0], vectors.mean(0), atol=0.01)
    assert averages.revive(vectors, generator) == 7
    assert (torch.cdist(book.embedding.weight[1:], vectors).min(1).values < 1e-3).all()
    assert averages.revive(vectors, generator) == 0
    averages.update(vectors, book.nearest(vectors))
    assert (torch.cdist(book.embedding.weight[1:], vectors).min(1).values < 1).all()  # they stay where they were put
