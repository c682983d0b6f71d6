"""`mgpt eval-vq`: photographs through real quantizers, figures that follow from the pictures, and recipes that are refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from jobs.__main__ import main
from pipeline.buckets import choose_bucket, make_buckets
from pipeline.images import apply_crop, decode_rgb, plan_crop
from tests.broken_pictures import BROKEN
from tests.conftest import GOLDEN
from tests.jobs.recipes import ROOT
from tokenizer.vq import ChameleonVQ
from tokenizer.vq.config import read_config
from tokenizer.vq.measures import gradient, psnr, ssim
from tokenizer.vq.network import VQGAN
from tokenizer.vq.weights import save_weights

PHOTOS = ("astronaut.jpg", "osprey.jpg", "penguin.jpg")
SHAPE = {
    "ch": 16,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "z_channels": 8,
    "patch_size": 2,
    "num_groups": 4,
    "mid_attention": False,
    "mid_blocks": 1,
}
RECIPE = """
output = "out"
target_sizes = [32, 64]
num_shown = 2
speed_seconds = 0

[[vq]]
name = "tiny"
config = "tiny.yaml"
weights = "tiny.safetensors"

[[vq]]
name = "bundled"

[[data]]
name = "photographs"
source = { kind = "folder", path = "pictures" }
"""


def write_tiny(folder, name="tiny", **changes):
    """A VQGAN of 32 codes of 4 x 4 pixels with random weights."""
    document = {"model": {"params": {"ddconfig": SHAPE | changes, "n_embed": 32, "embed_dim": 4}}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    torch.manual_seed(0)
    network = VQGAN(read_config(str(folder / f"{name}.yaml")))
    torch.nn.init.normal_(network.quantize.embedding.weight)
    save_weights(network, str(folder / f"{name}.safetensors"), half_precision=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a recipe, a tiny VQGAN and three photographs."""
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name in PHOTOS:
        shutil.copy(ROOT / "examples" / "photos" / name, tmp_path / "pictures")
    (tmp_path / "eval.toml").write_text(RECIPE)
    return tmp_path


def evaluated(folder, *changes):
    """What `eval.json` says after a run."""
    assert main(["eval-vq", "eval.toml", *(word for change in changes for word in ("--set", change))]) == 0
    return json.loads((folder / "out" / "eval.json").read_text())


def test_every_quantizer_is_measured_on_every_source_and_target(folder, capsys):
    document = evaluated(folder)
    table, progress = capsys.readouterr()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]
    assert [(row[0], row[1], row[2], row[3]) for row in rows[2:]] == [
        ("photographs", "32", "tiny", "3"),
        ("photographs", "32", "bundled", "3"),
        ("photographs", "64", "tiny", "3"),
        ("photographs", "64", "bundled", "3"),
    ]
    assert {len(row) for row in rows} == {13}
    assert rows[2][4].split(" ")[0] == f"{document['figures'][0]['psnr']['mean']:.2f}"
    assert "photographs: 3 pictures, 0 could not be used" in table
    assert "tiny: 32 codes of 4 x 4 pixels" in progress
    assert (folder / "out" / "eval.html").exists()


def test_figures_are_those_of_the_pictures_as_they_are_cut_for_tokens(folder):
    document = evaluated(folder)
    vq = ChameleonVQ("tiny.yaml", "tiny.safetensors").load()
    rows = [row for row in document["pictures"] if (row["vq"], row["target_size"]) == ("tiny", 64)]
    assert [row["key"] for row in rows] == ["astronaut", "osprey", "penguin"]
    codes = []
    for row in rows:
        picture = decode_rgb((folder / "pictures" / f"{row['key']}.jpg").read_bytes())
        bucket = choose_bucket(*picture.size, make_buckets(64))
        assert (row["width"], row["height"]) == bucket
        pixels = np.asarray(apply_crop(picture, plan_crop(picture.size, bucket)))
        codes.append(vq.encode(pixels[None])[0])
        decoded = vq.decode(codes[-1][None])[0]
        assert row["psnr"] == pytest.approx(psnr(pixels, decoded), abs=0.02)
        assert row["ssim"] == pytest.approx(ssim(pixels, decoded), abs=0.002)
        assert row["gradient"] == pytest.approx(gradient(decoded), rel=0.01)
        assert row["original_gradient"] == pytest.approx(gradient(pixels))
    [figures] = [each for each in document["figures"] if (each["vq"], each["target_size"]) == ("tiny", 64)]
    assert figures["psnr"]["mean"] == pytest.approx(np.mean([row["psnr"] for row in rows]))
    assert figures["psnr"]["low"] <= figures["psnr"]["mean"] <= figures["psnr"]["high"]
    share = sum(row["gradient"] for row in rows) / sum(row["original_gradient"] for row in rows)
    assert figures["gradient"]["mean"] == pytest.approx(share)
    assert figures["codes_used"] == len(np.unique(np.concatenate([each.ravel() for each in codes])))
    assert figures["codes_emitted"] == sum(each.size for each in codes)
    assert figures["bits_raw"] == pytest.approx(5 / 16)


def test_what_the_figures_depend_on_is_written_down(folder):
    document = evaluated(folder, "seed=3")
    assert document["recipe"]["seed"] == 3
    assert document["machine"]["torch"] == torch.__version__
    assert document["machine"]["threads"] == torch.get_num_threads()
    assert document["machine"]["cpu"]
    tiny, bundled = document["vq"]
    assert (tiny["weights"], tiny["dtype"], tiny["num_codes"], tiny["downsample"]) == ("tiny.safetensors", "float32", 32, 4)
    assert bundled["fingerprint"] == ChameleonVQ().fingerprint()
    assert next(iter(document["sources"]["photographs"].values())).startswith("3 files, ")


def test_the_same_run_gives_the_same_figures_and_another_seed_other_intervals(folder):
    drawn = 'data.0.source={ kind = "shapes", count = 12, sizes = ["64x64"] }'
    first, second, third = evaluated(folder, drawn), evaluated(folder, drawn), evaluated(folder, drawn, "seed=1")
    assert first == second
    assert first["pictures"] == third["pictures"]
    assert first["figures"][0]["psnr"]["mean"] == third["figures"][0]["psnr"]["mean"]
    assert first["figures"][0]["psnr"] != third["figures"][0]["psnr"]


def test_broken_pictures_are_counted_by_reason_and_left_out(folder, capsys):
    sound = evaluated(folder)
    capsys.readouterr()
    for name in ("html", "text", "jpeg_cut_in_the_middle"):
        (folder / "pictures" / f"{name}.jpg").write_bytes(BROKEN[name][0]())
    (folder / "pictures" / "metadata.jsonl").write_text('{"file_name": "gone.jpg", "text": "a picture that is not there"}\n')
    document = evaluated(folder)
    assert document["data"] == [
        {"name": "photographs", "num_pictures": 3, "bad": {"not_an_image": 2, "missing_file": 1, "broken_image": 1}}
    ]
    assert document["pictures"] == sound["pictures"]
    assert "3 pictures, 4 could not be used (not_an_image 2, missing_file 1, broken_image 1)" in capsys.readouterr().out


def test_a_source_without_a_usable_picture_is_refused_before_anything_is_measured(folder, capsys):
    (folder / "broken").mkdir()
    for number in range(3):
        (folder / "broken" / f"{number}.jpg").write_bytes(BROKEN["html"][0]())
    with (folder / "eval.toml").open("a") as file:
        file.write('[[data]]\nname = "broken"\nsource = { kind = "folder", path = "broken" }\n')
    assert main(["eval-vq", "eval.toml"]) == 2
    message = capsys.readouterr().err
    assert "data 'broken': no picture in the source could be used; 3 records (3 not_an_image)" in message
    assert "photographs: 3 pictures" not in message
    assert not (folder / "out").exists()


def test_a_limit_counts_usable_pictures(folder):
    (folder / "pictures" / "a.jpg").write_bytes(BROKEN["html"][0]())
    document = evaluated(folder, "data.0.limit=2")
    assert document["data"] == [{"name": "photographs", "num_pictures": 2, "bad": {"not_an_image": 1}}]
    assert {row["key"] for row in document["pictures"]} == {"astronaut", "osprey"}


def test_small_pictures_are_counted_as_enlarged(folder):
    Image.new("RGB", (50, 50), (200, 30, 60)).save(folder / "pictures" / "small.png")
    document = evaluated(folder, "vq.0.name=t")
    assert [(cell["target_size"], cell["num_enlarged"]) for cell in document["figures"] if cell["vq"] == "t"] == [(32, 0), (64, 1)]
    assert [row["key"] for row in document["pictures"] if row["enlarged"]] == ["small", "small"]


def test_a_flat_picture_has_no_gradient_share_and_json_says_null(folder):
    for name in PHOTOS:
        (folder / "pictures" / name).unlink()
    Image.new("RGB", (64, 64), (200, 30, 60)).save(folder / "pictures" / "flat.png")
    document = evaluated(folder)
    assert document["figures"][0]["gradient"] == {"mean": None, "low": None, "high": None}
    assert document["figures"][0]["psnr"]["low"] is None  # one picture has no interval
    assert document["pictures"][0]["original_gradient"] == 0


def test_speeds_are_measured_where_the_recipe_asks_for_it(folder, monkeypatch, capsys):
    monkeypatch.setattr("jobs.vq_evaluation.BATCH_PIXELS", 2 * 64 * 64)
    document = evaluated(folder, "speed_seconds=0.01", "target_sizes=[64]")
    for cell in document["figures"]:
        assert (cell["speed"]["num_pictures"], cell["speed"]["side"]) == (2, 64)
        assert cell["speed"]["encode"] > 0 and cell["speed"]["decode"] > 0
    assert "tiny at 64: " in capsys.readouterr().err
    assert evaluated(folder)["figures"][0]["speed"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("num_showm=3", "recipe: unknown key 'num_showm'; did you mean 'num_shown'"),
        ("vq.0.wieghts=x", "vq[0](chameleon): unknown key 'wieghts'; did you mean 'weights'"),
        ("vq.0.kind=chamelion", "vq[0]: unknown kind 'chamelion'; did you mean 'chameleon'"),
        ("vq.0.weights=none.ckpt", "none.ckpt: no such file"),
        ("vq.0.name=bundled", "vq: two of them are named 'bundled'"),
        ("vq.0.name=''", "vq[0].name: a name is wanted, got ''"),
        ("vq=[]", "vq: at least one is wanted"),
        ("data=[]", "data: at least one is wanted"),
        ("data.0.limmit=3", "data[0]: unknown key 'limmit'; did you mean 'limit'"),
        ("data.0.limit=-1", "limit: 0 or more is wanted, got -1"),
        ("data.0.name=''", "data[0].name: a name is wanted"),
        ("data.0.source.kind=tar", "data[0].source: unknown kind 'tar'"),
        ("data.0.source.path=nowhere", "nowhere: no such folder"),
        ("target_sizes=[]", "target_sizes: at least one is wanted"),
        ("target_sizes=[64, 100]", "target_sizes: a target size is a positive multiple of 32, got 100"),
        ("target_sizes=[64, 64]", "target_sizes: 64 is listed twice"),
        ("seed=-1", "seed: 0 or more is wanted, got -1"),
        ("num_shown=-1", "num_shown: 0 or more is wanted, got -1"),
        ("speed_seconds=inf", "speed_seconds: 0 or more is wanted, got inf"),
        ("output=''", "output: a folder is wanted"),
    ],
)
def test_a_wrong_recipe_is_refused_before_any_work(folder, capsys, change, message):
    assert main(["eval-vq", "eval.toml", "--set", change, "--dry-run"]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_quantizer_without_a_name_is_refused(folder, capsys):
    (folder / "eval.toml").write_text(RECIPE.replace('name = "bundled"', ""))
    assert main(["eval-vq", "eval.toml", "--dry-run"]) == 2
    assert "vq[1].name: a name is wanted, got None" in capsys.readouterr().err


def test_two_sources_of_one_name_are_refused(folder, capsys):
    with (folder / "eval.toml").open("a") as file:
        file.write('[[data]]\nname = "photographs"\nsource = { kind = "shapes", count = 2 }\n')
    assert main(["eval-vq", "eval.toml", "--dry-run"]) == 2
    assert "data: two of them are named 'photographs'" in capsys.readouterr().err


def test_a_target_whose_pictures_hold_no_whole_number_of_codes_is_refused(folder, capsys):
    write_tiny(folder, "coarse", patch_size=32)  # 64 x 64 pixels a code
    coarse = ("--set", "vq.0.config=coarse.yaml", "--set", "vq.0.weights=coarse.safetensors", "--set", "vq.0.name=coarse")
    assert main(["eval-vq", "eval.toml", *coarse, "--set", "target_sizes=[64]", "--dry-run"]) == 2
    assert "target_sizes: 64: pictures of 128 x 32 hold no whole number of codes; 'coarse' has one for 64 pixels" in capsys.readouterr().err


def test_a_dry_run_reads_no_picture_writes_nothing_and_loads_no_torch(folder, capsys):
    code = "import sys; from jobs.__main__ import main; main(['eval-vq', 'eval.toml', '--dry-run']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"], check=False)
    assert done.returncode == 0
    assert not (folder / "out").exists()


def test_the_example_is_a_valid_recipe(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert main(["eval-vq", "examples/eval_vq.toml", "--dry-run"]) == 0
    assert "targets  128, 256, 512" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_golden_checkpoint_is_evaluated_beside_the_bundled_one(folder):
    files = GOLDEN / "tokenizer"
    document = evaluated(folder, f"vq.0.config={files}/vqgan.yaml", f"vq.0.weights={files}/vqgan.ckpt", "target_sizes=[64]")
    random, bundled = document["figures"]
    assert bundled["psnr"]["mean"] > random["psnr"]["mean"] + 3
    assert bundled["ssim"]["mean"] > random["ssim"]["mean"]
