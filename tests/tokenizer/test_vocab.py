"""Ids are read by name, from any tokenizer file in Chameleon's layout, and from no other."""

import json

import numpy as np
import pytest

from pipeline.errors import RecipeError
from tests.conftest import GOLDEN
from tokenizer.options import BUNDLED_TEXT_TOKENIZER
from tokenizer.vocab import CODE_NAME, CONTROL_NAME, load_vocab

GOLDEN_FILE = GOLDEN / "tokenizer" / "text_tokenizer.json"
PUBLISHED = {"bos": 0, "end_of_image": 8196, "start_of_image": 8197, "end_of_turn": 8710, "end_of_row": 8803}


def code_name(code: int) -> str:
    return "IMGIMG" + "".join("ABCDEFGHIJ"[int(digit)] for digit in str(code)) + "Z"


@pytest.mark.parametrize("path", [str(GOLDEN_FILE), BUNDLED_TEXT_TOKENIZER])
def test_control_tokens_have_the_published_ids(path):
    vocab = load_vocab(path)
    assert {name: getattr(vocab, name) for name in PUBLISHED} == PUBLISHED
    assert vocab.sizes[:40] == tuple(range(8804, 8844))
    assert sorted(vocab.codes) == list(range(4, 8196))


def test_codes_are_looked_up_by_name_not_computed(vocab):
    names = json.loads(GOLDEN_FILE.read_text())["model"]["vocab"]
    assert [vocab.codes[code] for code in (0, 10, 999, 8191)] == [names[code_name(code)] for code in (0, 10, 999, 8191)]
    assert vocab.codes != tuple(range(4, 8196)), "the golden tokenizer is shuffled on purpose"


def test_code_and_id_are_inverses(vocab):
    codes = np.arange(8192)
    assert (vocab.id_to_code[vocab.code_to_id[codes]] == codes).all()
    assert (vocab.id_to_code >= 0).sum() == 8192
    assert vocab.id_to_size[vocab.sizes[16]] == 16
    assert vocab.id_to_size[vocab.end_of_row] == -1


def test_control_ids_are_codes_sizes_and_the_five_others(vocab):
    assert vocab.is_control.sum() == 8192 + len(vocab.sizes) + 5
    assert not vocab.is_control[16_500]


def test_the_smallest_type_that_holds_every_id_is_taken(tmp_path, vocab):
    assert vocab.dtype == np.uint16
    tokenizer = json.loads(GOLDEN_FILE.read_text())
    for size, dtype in ((1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)):
        tokenizer["model"]["vocab"]["the last one"] = size - 1
        path = tmp_path / f"{size}.json"
        path.write_text(json.dumps(tokenizer))
        assert load_vocab(str(path)).size == size
        assert load_vocab(str(path)).dtype == dtype


def without(name: str) -> str:
    tokenizer = json.loads(GOLDEN_FILE.read_text())
    tokenizer["model"]["vocab"].pop(name, None)
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] != name]
    return json.dumps(tokenizer)


BROKEN = {
    "no JSON": (lambda: "{", "no tokenizer file"),
    "no tokenizer": (lambda: "[]", "no tokenizer file"),
    "another layout": (lambda: '{"model": {"vocab": {"a": 0}}, "added_tokens": []}', "IMGIMG"),
    "a code is missing": (lambda: without(code_name(4711)), "without a gap"),
    "the start of image is missing": (lambda: without("<racm3:break>"), "<racm3:break> is missing"),
    "a size is missing": (lambda: without("<reserved08816>"), "<reserved08816> is missing"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_such_tokenizer_is_refused(tmp_path, name):
    make, words = BROKEN[name]
    path = tmp_path / "text_tokenizer.json"
    path.write_text(make())
    with pytest.raises(RecipeError, match=words):
        load_vocab(str(path))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        load_vocab(str(tmp_path / "gone.json"))


@pytest.mark.parametrize("name", ["IMGIMGBAZ", "<reserved08706>", "<racm3:break>", "<eoss>", "<s>", "</s>", "<|image|>", "<sentinel:3>"])
def test_names_of_control_tokens_are_known(name):
    assert CONTROL_NAME.fullmatch(name)


@pytest.mark.parametrize("text", ["IMGIMG", "<reserved>", "<b>", "reserved08706", "<racm3>", "imgimgaz"])
def test_other_texts_name_no_control_token(text):
    assert not CONTROL_NAME.search(text)


def test_a_code_name_spells_its_digits():
    assert CODE_NAME.fullmatch("IMGIMGBAZ")
    assert not CODE_NAME.fullmatch("IMGIMGZ")
    assert not CODE_NAME.fullmatch("IMGIMGKZ")
