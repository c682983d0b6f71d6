"""Heads on CLIP's vector equal their formulas written out in torch; files of other networks are refused by name."""

import math
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from filters.aesthetic import Aesthetic
from filters.clip import ClipModel
from filters.safety import Safety
from filters.watermark import Watermark
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from tests.filters.clip_models import DIMENSION, aesthetic_v2, write_aesthetic, write_clip, write_linear
from tests.filters.verdicts import judged


def vectors(count, dimension=DIMENSION):
    torch.manual_seed(9)
    return normalize(torch.randn(count, dimension), dim=-1)


def samples_of(rows):
    return [Sample(str(n), "x", {"image": b""}, embeddings={"clip_image": row.numpy()}) for n, row in enumerate(rows)]


def found(rule, score, samples):
    return [measured.scores[score] for measured in rule.measure(samples)]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_aesthetic_v2_is_its_formula(tmp_path, suffix):
    rows = vectors(7, 768)
    rule = Aesthetic(str(write_aesthetic(tmp_path / f"head{suffix}", 768)))
    wanted = aesthetic_v2(768)(rows).detach()[:, 0] + 5
    assert found(rule, "aesthetic", samples_of(rows)) == pytest.approx(wanted.tolist(), abs=1e-5)
    assert wanted.std() > 1e-3


def test_aesthetic_v1_is_a_linear_layer(tmp_path):
    rows = vectors(4)
    write_linear(tmp_path / "v1.safetensors", bias=5.0)
    torch.manual_seed(2)
    wanted = rows @ (4 * torch.randn(1, DIMENSION)).T + 5.0
    assert found(Aesthetic(str(tmp_path / "v1.safetensors")), "aesthetic", samples_of(rows)) == pytest.approx(
        wanted[:, 0].tolist(), abs=1e-5
    )


def test_a_checkpoint_below_state_dict_is_read(tmp_path):
    torch.save({"state_dict": aesthetic_v2().state_dict(), "epoch": 3}, tmp_path / "head.ckpt")
    _ = Aesthetic(str(tmp_path / "head.ckpt")).head_file.head


class Normalization(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.register_buffer("mean", torch.randn(width) / 10)
        self.register_buffer("variance", torch.rand(width) + 0.01)


def nsfw(widths, with_norm=True):
    """LAION's detector: normalised by mean and variance, ReLU between layers, a sigmoid at the end."""
    torch.manual_seed(4)
    network = torch.nn.Module()
    if with_norm:
        network.norm = Normalization(widths[0])
    for number, (wide, narrow) in enumerate(pairwise(widths), start=1):
        setattr(network, f"linear_{number}", torch.nn.Linear(wide, narrow))

    def forward(x):
        if with_norm:
            x = (x - network.norm.mean) / network.norm.variance.sqrt()
        for number in range(1, len(widths)):
            x = getattr(network, f"linear_{number}")(x)
            x = x.relu() if number < len(widths) - 1 else x.sigmoid()
        return x[:, 0]

    network.forward = forward
    return network


@pytest.mark.parametrize("widths", [(768, 64, 512, 256, 1), (512, 32, 32, 1)], ids=["L/14", "B/32"])
@pytest.mark.parametrize("with_norm", [True, False])
def test_the_nsfw_detector_is_its_formula(tmp_path, widths, with_norm):
    network, rows = nsfw(widths, with_norm), vectors(6, widths[0])
    torch.save(network.state_dict(), tmp_path / "head.pth")
    scores = found(Safety(str(tmp_path / "head.pth")), "nsfw", samples_of(rows))
    assert scores == pytest.approx(network(rows).tolist(), abs=1e-6)
    assert all(0 < score < 1 for score in scores)


def test_the_nsfw_detector_of_h14_is_its_formula(tmp_path):
    torch.manual_seed(5)
    widths, parts = (DIMENSION, 1024, 2048, 1024, 256, 128), []
    for wide, narrow in pairwise(widths):
        parts += [torch.nn.Linear(wide, narrow), torch.nn.ReLU(), torch.nn.Dropout(0.2)]
    layers = torch.nn.Sequential(*parts, torch.nn.Linear(128, 16), torch.nn.Linear(16, 1)).eval()
    save_file({f"layers.{name}": value for name, value in layers.state_dict().items()}, str(tmp_path / "head.safetensors"))
    rows = vectors(3)
    wanted = layers(rows).detach()[:, 0].tolist()
    assert found(Safety(str(tmp_path / "head.safetensors")), "nsfw", samples_of(rows)) == pytest.approx(wanted, abs=1e-5)


def test_one_linear_layer_is_a_logistic_regression_for_probabilities(tmp_path):
    rows = vectors(5)
    write_linear(tmp_path / "head.safetensors", bias=-0.5)
    torch.manual_seed(2)
    wanted = (rows @ (4 * torch.randn(1, DIMENSION)).T - 0.5).sigmoid()[:, 0].tolist()
    assert found(Watermark(str(tmp_path / "head.safetensors")), "watermark", samples_of(rows)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("bias", [-2000.0, 2000.0])
def test_a_probability_far_from_a_half_does_not_overflow(tmp_path, bias):
    write_linear(tmp_path / "head.safetensors", bias=bias)
    assert found(Safety(str(tmp_path / "head.safetensors")), "nsfw", samples_of(vectors(1))) == [float(bias > 0)]


def test_the_worst_picture_decides(tmp_path):
    rows = vectors(2)
    write_linear(tmp_path / "head.safetensors")
    one, two = samples_of(rows)
    both = Sample(
        "both",
        images={"image": b"", "image_1": b"", "depth": b""},
        embeddings={"clip_image": one.embeddings["clip_image"], "clip_image:image_1": two.embeddings["clip_image"]},
    )
    for rule, score, choose in ((Aesthetic, "aesthetic", min), (Safety, "nsfw", max), (Watermark, "watermark", max)):
        first, second, worst = found(rule(str(tmp_path / "head.safetensors")), score, [one, two, both])
        assert worst == choose(first, second) and first != second


@pytest.mark.parametrize(("kind", "score", "reason"), [(Safety, "nsfw", "unsafe"), (Watermark, "watermark", "watermarked")])
def test_what_is_likelier_than_the_limit_is_left_out(kind, score, reason):
    limit = {Safety: 0.3, Watermark: 0.5}[kind]
    rule = kind("")
    assert [rule.judge({score: value}) for value in (limit - 1e-6, limit, limit + 1e-6)] == ["", "", reason]


def test_what_is_plainer_than_the_limit_is_left_out():
    assert [Aesthetic("").judge({"aesthetic": value}) for value in (4.999, 5.0)] == ["not_aesthetic", ""]


def test_scores_are_kept_for_the_rejected(tmp_path):
    write_linear(tmp_path / "head.safetensors", bias=50.0)
    [verdict] = judged(Safety(str(tmp_path / "head.safetensors")), samples_of(vectors(1)))
    assert not verdict.keep and verdict.scores == {"nsfw": 1.0}


def test_samples_without_pictures_have_nothing_to_judge(tmp_path):
    write_linear(tmp_path / "head.safetensors")
    assert not Aesthetic(str(tmp_path / "head.safetensors")).measure([Sample("text")])[0].scores


def tensors_of(change):
    tensors = aesthetic_v2().state_dict()
    change(tensors)
    return tensors


WRONG = {
    "a layer is missing": tensors_of(lambda tensors: tensors.pop("layers.4.weight")),
    "a layer too many": tensors_of(lambda tensors: tensors.update({"layers.9.weight": torch.zeros(1, 1), "layers.9.bias": torch.zeros(1)})),
    "layers that do not fit": tensors_of(lambda tensors: tensors.update({"layers.2.weight": torch.zeros(128, 1023)})),
    "two answers": {"weight": torch.zeros(2, DIMENSION), "bias": torch.zeros(2)},
    "another network": {"encoder.weight": torch.zeros(3, 3)},
    "nothing": {},
    "an NSFW head": dict(nsfw((DIMENSION, 8, 1)).state_dict()),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_network_is_refused(tmp_path, name):
    torch.save(WRONG[name], tmp_path / "head.pth")
    with pytest.raises(RecipeError, match=r"filter aesthetic.weights: .*head.pth is no head of the layout layers_0_2_4_6_7 or linear"):
        _ = Aesthetic(str(tmp_path / "head.pth")).head_file.head


def test_an_aesthetic_head_is_no_safety_head(tmp_path):
    with pytest.raises(RecipeError, match=r"filter safety.weights: .* is no head of the layout linear_1_2"):
        _ = Safety(str(write_aesthetic(tmp_path / "head.pth"))).head_file.head


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    save_file({"weight": torch.full((1, 4), math.nan), "bias": torch.zeros(1)}, str(tmp_path / "head.safetensors"))
    with pytest.raises(RecipeError, match="weight has values that are no numbers"):
        _ = Safety(str(tmp_path / "head.safetensors")).head_file.head


@pytest.mark.parametrize("name", ["head.safetensors", "head.pth"])
def test_a_damaged_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no tensors in here, only words")
    with pytest.raises(RecipeError, match="no file of tensors"):
        _ = Watermark(str(tmp_path / name)).head_file.head


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"weight": np.dtype, "bias": print}, tmp_path / "head.pth")
    with pytest.raises(RecipeError, match="no file of tensors"):
        _ = Watermark(str(tmp_path / "head.pth")).head_file.head


@pytest.mark.parametrize("kind", [Aesthetic, Safety, Watermark])
def test_without_weights_a_filter_is_off(kind):
    with pytest.raises(RecipeError, match="off without weights"):
        _ = kind().head_file.head
    with pytest.raises(RecipeError, match=r"no/such\.pth: no such file"):
        _ = kind("no/such.pth").head_file.head


def test_a_head_for_another_clip_is_refused(tmp_path):
    clip = ClipModel(write_clip(tmp_path / "clip"))
    fits, too_wide = (Aesthetic(str(write_aesthetic(tmp_path / f"{d}.pth", d))) for d in (DIMENSION, 768))
    fits.head_file.check(clip)
    with pytest.raises(RecipeError, match=r"filter aesthetic.weights: made for vectors of 768 numbers, and local-dir:.* gives 24"):
        too_wide.head_file.check(clip)


def test_a_checked_filter_stays_small_when_it_travels(tmp_path):
    rule = Aesthetic(str(write_aesthetic(tmp_path / "head.pth")))
    rule.head_file.check(ClipModel(write_clip(tmp_path / "clip")))
    assert len(pickle.dumps(rule)) < 500
    assert rule.head_file.head.dimension == DIMENSION  # read
    assert rule == replace(rule) and hash(rule) == hash(replace(rule))
