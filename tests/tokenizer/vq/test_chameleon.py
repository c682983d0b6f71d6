"""The VQGAN against the reference's record, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from pipeline.buckets import fit_bucket
from pipeline.errors import RecipeError
from pipeline.images import apply_crop, decode_rgb, plan_crop
from pipeline.sources.shapes import Shapes
from tokenizer.vocab import load_vocab
from tokenizer.vq import VQ_BACKENDS, ChameleonVQ
from tokenizer.vq.measures import Tally, measure_pictures

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
CONFIG = str(GOLDEN / "tokenizer" / "vqgan.yaml")
WEIGHTS = str(GOLDEN / "tokenizer" / "vqgan.ckpt")


@pytest.fixture(scope="module")
def reference():
    return ChameleonVQ(CONFIG, WEIGHTS).load()


@pytest.fixture(scope="module")
def recorded(golden):
    """Pixels, codes and decoded picture of every image in the record."""
    vocab = load_vocab(str(GOLDEN / "tokenizer" / "text_tokenizer.json"))
    rows = []
    for image in golden["images"]:
        width, height = image["crop"]
        picture = decode_rgb((GOLDEN / image["image"]).read_bytes())
        pixels = np.array(apply_crop(picture, plan_crop(picture.size, (width, height))))
        codes = vocab.id_to_code[np.array(image["input_ids"])]
        decoded = np.array(Image.open(GOLDEN / image["decoded"]).convert("RGB"))
        rows.append((pixels, codes[codes >= 0].reshape(height // 16, width // 16), decoded))
    return rows


def edited(tmp_path, **changes):
    """The golden checkpoint with some tensors replaced, or removed where None."""
    tensors = torch.load(WEIGHTS, weights_only=True)["state_dict"] | changes
    path = tmp_path / "vqgan.ckpt"
    torch.save({"state_dict": {name: tensor for name, tensor in tensors.items() if tensor is not None}}, path)
    return str(path)


def test_the_reference_s_codes_come_out_in_float32(reference, recorded):
    wrong = sum(int((reference.encode(pixels[None])[0] != codes).sum()) for pixels, codes, _ in recorded)
    assert wrong * 1000 <= sum(codes.size for _, codes, _ in recorded)


def test_the_reference_s_pictures_come_out_in_float32(reference, recorded):
    for _, codes, decoded in recorded:
        assert np.abs(reference.decode(codes[None])[0].astype(int) - decoded).max() <= 1


def test_bfloat16_changes_few_codes(recorded):
    rough = ChameleonVQ(CONFIG, WEIGHTS, dtype="bfloat16").load()
    pixels, codes, _ = recorded[0]
    assert (rough.encode(pixels[None])[0] == codes).mean() > 0.8  # these weights are random: neighbouring codes lie close


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_picture_s_codes_do_not_depend_on_its_batch(recorded, dtype):
    vq = ChameleonVQ(dtype=dtype).load()
    pixels = np.stack([recorded[0][0], recorded[4][0], recorded[5][0], 255 - recorded[0][0], recorded[5][0][::-1]])
    alone = np.concatenate([vq.encode(picture[None]) for picture in pixels])
    assert np.array_equal(vq.encode(pixels), alone)
    assert np.array_equal(vq.encode(pixels[::-1]), alone[::-1])


def test_codes_do_not_depend_on_the_number_of_threads(recorded):
    vq = ChameleonVQ().load()
    one = vq.encode(recorded[0][0][None])
    torch.set_num_threads(2)
    two = vq.encode(recorded[0][0][None])
    torch.set_num_threads(1)
    assert np.array_equal(one, two)


def test_shapes_and_number_types(reference):
    pixels = np.zeros((3, 32, 64, 3), np.uint8)
    codes = reference.encode(pixels)
    assert codes.shape == (3, 2, 4) and codes.dtype == np.int32
    assert reference.decode(codes).shape == (3, 32, 64, 3) and reference.decode(codes).dtype == np.uint8
    assert reference.encode(pixels[:0]).shape == (0, 2, 4)


@pytest.mark.parametrize("pixels", [np.zeros((1, 30, 32, 3), np.uint8), np.zeros((1, 32, 32, 3), np.float32)])
def test_pixels_of_another_size_or_type_are_refused(reference, pixels):
    with pytest.raises(ValueError, match="multiples of 16"):
        reference.encode(pixels)


def test_a_large_batch_goes_through_in_pieces(monkeypatch, recorded):
    vq = ChameleonVQ().load()
    pixels = np.stack([recorded[0][0], recorded[4][0], recorded[5][0]])
    whole = vq.encode(pixels)
    monkeypatch.setattr("tokenizer.vq.chameleon.PIXELS_A_PASS", 256 * 256)
    assert np.array_equal(vq.encode(pixels), whole)
    assert np.array_equal(vq.decode(whole), np.concatenate([vq.decode(codes[None]) for codes in whole]))


def test_config_alone_tells_sizes():
    vq = ChameleonVQ(CONFIG, WEIGHTS)
    assert (vq.downsample, vq.num_codes) == (16, 8192)
    assert (ChameleonVQ().downsample, ChameleonVQ().num_codes) == (16, 8192)


def test_checking_loads_no_torch():
    code = (
        "import sys; from tokenizer.vq import VQ_BACKENDS; vq = VQ_BACKENDS['chameleon'](); vq.check(); vq.fingerprint(); vq.downsample;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_fingerprint_follows_weights_config_and_number_type(tmp_path):
    changed = edited(tmp_path, **{"quant_conv.bias": torch.ones(32)})
    other = tmp_path / "vqgan.yaml"
    other.write_text(Path(CONFIG).read_text() + "\n# another file\n")
    options = [
        ChameleonVQ(),
        ChameleonVQ(CONFIG, WEIGHTS),
        ChameleonVQ(CONFIG, WEIGHTS, "bfloat16"),
        ChameleonVQ(CONFIG, changed),
        ChameleonVQ(str(other), WEIGHTS),
    ]
    assert len({vq.fingerprint() for vq in options}) == len(options)
    assert ChameleonVQ(CONFIG, WEIGHTS).fingerprint() == ChameleonVQ(CONFIG, WEIGHTS).fingerprint()


def test_safetensors_give_the_same_codes_as_the_checkpoint(tmp_path, reference, recorded):
    tensors = torch.load(WEIGHTS, weights_only=True)["state_dict"]
    save_file(tensors, tmp_path / "vqgan.safetensors")
    vq = ChameleonVQ(CONFIG, str(tmp_path / "vqgan.safetensors")).load()
    assert np.array_equal(vq.encode(recorded[0][0][None]), reference.encode(recorded[0][0][None]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.conv_in.bias": None}, "missing encoder.conv_in.bias"),
        ({"encoder.conv_new.bias": torch.ones(3)}, "unexpected encoder.conv_new.bias"),
        ({"decoder.conv_in.bias": torch.ones(3)}, r"of another shape decoder.conv_in.bias \(3,\) \(the config says \(64,\)\)"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_the_key_s_name(tmp_path, changes, message):
    with pytest.raises(RecipeError, match=message):
        ChameleonVQ(CONFIG, edited(tmp_path, **changes)).load()


def test_weights_of_losses_are_ignored(tmp_path):
    ChameleonVQ(CONFIG, edited(tmp_path, **{"loss.perceptual_loss.scaling_layer.shift": torch.ones(3)})).load()


@pytest.mark.parametrize(("name", "data"), [("vqgan.ckpt", b"not a checkpoint"), ("vqgan.ckpt", b""), ("vqgan.safetensors", b"nor this")])
def test_a_file_without_weights_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RecipeError, match="no weights of a VQGAN"):
        ChameleonVQ(CONFIG, str(tmp_path / name)).load()


def test_a_checkpoint_without_state_dict_is_refused(tmp_path):
    torch.save({"model": {}}, tmp_path / "vqgan.ckpt")
    with pytest.raises(RecipeError, match="state_dict"):
        ChameleonVQ(CONFIG, str(tmp_path / "vqgan.ckpt")).load()


def test_config_and_weights_belong_together():
    with pytest.raises(RecipeError, match=r"vq\.weights: config and weights belong together"):
        ChameleonVQ(config=CONFIG).check()
    with pytest.raises(RecipeError, match=r"vq\.config: config and weights belong together"):
        ChameleonVQ(weights=WEIGHTS).check()


def test_missing_files_are_refused_before_any_work(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        ChameleonVQ(CONFIG, str(tmp_path / "none.ckpt")).check()
    with pytest.raises(RecipeError, match="no such file"):
        ChameleonVQ(str(tmp_path / "none.yaml"), WEIGHTS).check()


def test_the_dict_knows_the_class_by_its_name():
    assert VQ_BACKENDS["chameleon"] is ChameleonVQ


def test_bundled_photographs_come_back_with_their_detail():
    paths = sorted((ROOT / "examples" / "photos").glob("*.jpg"))[::6]
    pictures = [decode_rgb(path.read_bytes()) for path in paths]
    cut = [np.asarray(apply_crop(picture, plan_crop(picture.size, fit_bucket(*picture.size, 256)))) for picture in pictures]
    tally = Tally(8192)
    for measured in measure_pictures(ChameleonVQ().load(), cut):
        tally.add(measured)
    figures = tally.figures(seed=0)
    assert figures.psnr.mean > 19.5
    assert figures.ssim.mean > 0.48
    assert 0.7 < figures.gradient.mean < 1


def test_bundled_scenes_come_back_with_their_colours():
    source = Shapes(count=8, seed=7, sizes=("256x256",))
    pictures = [np.asarray(decode_rgb(sample.images["image"])) for unit in source.plan(8) for sample in source.read(unit)]
    assert np.mean([measured.scores.psnr for measured in measure_pictures(ChameleonVQ().load(), pictures)]) > 27


def test_the_bundled_weights_are_small():
    files = [path for path in (ROOT / "tokenizer" / "vq" / "bundled").iterdir() if path.suffix == ".safetensors"]
    assert [path.stat().st_size < 24_000_000 for path in files] == [True]
    assert yaml.safe_load((ROOT / "tokenizer" / "vq" / "bundled" / "vqgan.yaml").read_text())["model"]["params"]["n_embed"] == 8192
