"""Text goes in and comes out unchanged, and never becomes a control token."""

import json
import random
from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from tests.conftest import GOLDEN
from tokenizer.options import BUNDLED_TEXT_TOKENIZER
from tokenizer.text import TextTokenizer
from tokenizer.vocab import CONTROL_NAME

GOLDEN_FILE = GOLDEN / "tokenizer" / "text_tokenizer.json"
NAMES = ["<s>", "</s>", "<pad>", "<unk>", "<eoss>", "<racm3:break>", "<reserved08706>", "<reserved08799>", "<reserved08816>", "IMGIMGBAZ"]
NAMES += ["<|image|>", "<sentinel:7>", "IMGIMGIMGIMGAZ", "IMGIMGAZIMGIMGBZ", "IMGIMG" + "X" * 50 + "IMGIMGAZ", "<reserved08706" + ">" * 3]
TEXTS = [
    "",
    " ",
    "a",
    "  two  spaces ",
    "\ttab\nline\r\n",
    "100% — “café” naïve",
    "햇살 아래 🐈‍⬛",
    "e\u0301 \u200b \ufeff",
    "\x00\x01\x7f",
    "12345",
    "<b>&amp;</b>",
]
PIECES = [
    *NAMES,
    *TEXTS,
    "IMGIMG",
    "IMG",
    "A",
    "Z",
    "<reserved",
    "08706",
    ">",
    "<",
    "racm3:break",
    "<|",
    "|>",
    "image",
    "the cat",
    "\u0308",
]


def merging_tokenizer(folder) -> str:
    """A tokenizer that makes a whole piece one token where its vocabulary has it, so that a spelled code becomes the code."""
    tokenizer = json.loads(Path(BUNDLED_TEXT_TOKENIZER).read_text())
    tokenizer["model"]["ignore_merges"] = True
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if not token["content"].startswith("IMGIMG")]
    path = folder / "text_tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    return str(path)


@pytest.fixture(scope="module", params=["golden", "bundled", "merging"])
def any_text(request, tmp_path_factory) -> TextTokenizer:
    match request.param:
        case "golden":
            return TextTokenizer(str(GOLDEN_FILE))
        case "bundled":
            return TextTokenizer(BUNDLED_TEXT_TOKENIZER)
        case _:
            return TextTokenizer(merging_tokenizer(tmp_path_factory.mktemp("merging")))


def control_ids(text: TextTokenizer) -> set[int]:
    return {token_id for name, token_id in text._tokenizer.get_vocab(with_added_tokens=True).items() if CONTROL_NAME.fullmatch(name)}


@pytest.mark.parametrize("name", NAMES)
def test_a_text_that_spells_a_control_token_does_not_become_one(any_text, name):
    for words in (name, f"a {name} b", f"{name}{name}", f"x{name}"):
        ids = any_text.encode(words)
        assert not control_ids(any_text) & set(ids)
        assert not any(any_text.vocab.is_control[token_id] for token_id in ids)
        assert any_text.decode(ids) == words


@pytest.mark.parametrize("words", TEXTS)
def test_any_text_comes_back_unchanged(any_text, words):
    assert any_text.decode(any_text.encode(words)) == words


def test_random_texts_come_back_unchanged_and_harmless(any_text):
    rng, control = random.Random(0), control_ids(any_text)
    for _ in range(2000):
        words = "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 8)))
        ids = any_text.encode(words)
        assert any_text.decode(ids) == words
        assert control.isdisjoint(ids)


def test_random_characters_of_all_planes_come_back_unchanged(any_text):
    rng = random.Random(1)
    for _ in range(300):
        points = [rng.choice([rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0xE000, 0x110000)]) for _ in range(12)]
        words = "".join(map(chr, points))
        assert any_text.decode(any_text.encode(words)) == words


def test_the_merging_tokenizer_would_make_a_code_of_its_name(tmp_path):
    text = TextTokenizer(merging_tokenizer(tmp_path))
    assert text._encode("IMGIMGAZ") == [text.vocab.codes[0]], "or else the tests above prove nothing"
    assert len(text.encode("IMGIMGAZ")) > 1


def test_plain_text_is_encoded_as_the_file_says(any_text):
    words = "Generate an image of 512x768 according to the following prompt:\nA cup."
    assert any_text.encode(words) == any_text._tokenizer.encode(words, add_special_tokens=False).ids


def test_a_file_that_tokenizers_cannot_read_is_refused(tmp_path):
    tokenizer = json.loads(GOLDEN_FILE.read_text())
    tokenizer["pre_tokenizer"] = {"type": "NoSuchThing"}
    path = tmp_path / "text_tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(RecipeError, match=r"text_tokenizer\.json"):
        TextTokenizer(str(path))
