"""Pictures from tokens: the golden ones, their names, and refusals."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.inspection.decode import decode, safe_name
from pipeline.samples import TokenSequence
from tests.conftest import GOLDEN
from tests.jobs.inspection.outputs import edit_manifest, small_sequences
from tests.token_output import TEXT_TOKENIZER_PATH, write_output
from tokenizer.grammar import find_images
from tokenizer.vocab import load_vocab
from tokenizer.vq import VQ_BACKENDS

VQ = {"config": str(GOLDEN / "tokenizer" / "vqgan.yaml"), "weights": str(GOLDEN / "tokenizer" / "vqgan.ckpt"), "dtype": "float32"}


def write_with_golden_vq(folder: Path, sequences: list[TokenSequence]) -> Path:
    write_output(folder, sequences)
    fingerprint = VQ_BACKENDS["chameleon"](**VQ).fingerprint()
    edit_manifest(folder, lambda manifest: replace(manifest, vq={"kind": "chameleon", "fingerprint": fingerprint, "device": "auto", **VQ}))
    return folder


def test_golden_tokens_decode_to_the_golden_pictures(golden, tmp_path):
    vocab = load_vocab(TEXT_TOKENIZER_PATH)
    sequences = []
    for number, item in enumerate(golden["images"][:4]):
        ids = np.array([vocab.bos, *item["input_ids"], vocab.end_of_turn], vocab.dtype)
        sequences.append(TokenSequence(str(number), "image", ids, ((0, len(ids)),), find_images(ids, vocab)))
    write_with_golden_vq(tmp_path, sequences)
    written = decode(str(tmp_path), ["0", "1", "2", "3"], out="", limit=64)
    assert written == [str(tmp_path / "decoded" / f"{number}.png") for number in range(4)]
    for path, item in zip(written, golden["images"][:4], strict=True):
        ours, theirs = (np.asarray(Image.open(file).convert("RGB"), np.int16) for file in (path, GOLDEN / item["decoded"]))
        assert np.abs(ours - theirs).max() <= 1


def test_names_tell_tasks_and_pictures_apart(tmp_path, capsys):
    write_with_golden_vq(tmp_path, small_sequences())
    assert main(["inspect", "decode", str(tmp_path / "tokens"), "fox", "cat/tabby", "primes", "--out", str(tmp_path / "png")]) == 0
    names = sorted(path.name for path in (tmp_path / "png").iterdir())
    assert names == ["cat%2Ftabby.png", "fox-captioning.png", "fox-text_to_image.png"]
    assert Image.open(tmp_path / "png" / "fox-captioning.png").size == (96, 32)


def test_the_limit_holds(tmp_path, capsys):
    write_with_golden_vq(tmp_path, small_sequences())
    assert main(["inspect", "decode", str(tmp_path), "fox", "owl", "--limit", "2"]) == 0
    assert len(list((tmp_path / "decoded").iterdir())) == 2
    assert "stopped at 2 pictures" in capsys.readouterr().out
    assert main(["inspect", "decode", str(tmp_path), "fox", "--limit", "0"]) == 2


def test_another_quantizer_than_made_the_tokens_is_refused(tmp_path, capsys):
    write_with_golden_vq(tmp_path, small_sequences())
    edit_manifest(tmp_path, lambda manifest: replace(manifest, vq={**manifest.vq, "fingerprint": "0" * 64}))
    assert main(["inspect", "decode", str(tmp_path), "fox"]) == 6
    assert "is not what made these tokens" in capsys.readouterr().err
    assert not (tmp_path / "decoded").exists()


def test_a_quantizer_that_is_not_there_is_refused(tmp_path, capsys):
    write_with_golden_vq(tmp_path, small_sequences())
    edit_manifest(tmp_path, lambda manifest: replace(manifest, vq={**manifest.vq, "weights": str(tmp_path / "gone.ckpt")}))
    assert main(["inspect", "decode", str(tmp_path), "fox"]) == 2
    assert "gone.ckpt" in capsys.readouterr().err


def test_an_unknown_key_is_refused_before_anything_is_written(tmp_path, capsys):
    write_with_golden_vq(tmp_path, small_sequences())
    assert main(["inspect", "decode", str(tmp_path), "fox", "focks"]) == 2
    assert "did you mean 'fox'" in capsys.readouterr().err
    assert not (tmp_path / "decoded").exists()


def test_a_sample_without_pictures_writes_nothing(tmp_path, capsys):
    write_output(tmp_path, small_sequences())
    assert main(["inspect", "decode", str(tmp_path), "primes"]) == 0
    assert "there is no picture" in capsys.readouterr().out


def test_an_image_that_breaks_the_grammar_is_named(tmp_path, capsys):
    [fox, *_] = small_sequences()
    ids = fox.input_ids.copy()
    ids[fox.images[0].start + 3] = 16_500
    write_with_golden_vq(tmp_path, [replace(fox, input_ids=ids)])
    assert main(["inspect", "decode", str(tmp_path), "fox"]) == 6
    assert "fox: the image at" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["a/b", "../../etc/passwd", "..", "a\\b", "a:b", "a\nb", "100%", "한글", "x" * 500, "é" * 300])
def test_a_key_becomes_one_safe_file_name(key):
    name = safe_name(key)
    assert "/" not in name and "\\" not in name and "\n" not in name
    assert len(name.encode()) < 200
    assert Path("folder", f"{name}.png").parent == Path("folder")


def test_different_keys_get_different_names():
    keys = ["a/b", "a%2Fb", "a_b", "ab", "x" * 500, "x" * 501, "x" * 499 + "y"]
    assert len({safe_name(key) for key in keys}) == len(keys)


def test_prepared_pictures_decode_without_a_word_about_the_quantizer(prepared, tmp_path):
    output = shutil.copytree(prepared, tmp_path / "out")
    assert main(["inspect", "decode", str(output), "picture_0"]) == 0
    assert sorted(path.name for path in (output / "decoded").iterdir()) == ["picture_0-captioning.png", "picture_0-text_to_image.png"]
    assert json.loads((output / "tokens" / "manifest.json").read_text())["vq"]["weights"].endswith("vqgan.ckpt")
