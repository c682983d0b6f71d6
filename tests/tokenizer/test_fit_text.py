"""The text tokenizer's maker, and the one in the box."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.errors import RecipeError
from tokenizer.fit_text import NUM_CODES, control_names, fit_text, read_texts, to_json
from tokenizer.vocab import load_vocab

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "tokenizer" / "bundled" / "text_tokenizer.json"
GOLDEN = ROOT / "tests" / "golden" / "tokenizer" / "text_tokenizer.json"
TEXT = "The quick brown fox jumps over the lazy dog.\nA red circle beside a blue square, and a red square.\n" * 3
LAYOUT_SIZE = 16_388 + 256
CAPTIONS = (
    "A man riding a wave on top of a surfboard.",
    "Two dogs playing with a frisbee in a grassy park on a sunny afternoon.",
    "The photograph shows an astronaut in an orange spacesuit standing in front of an American flag and a model of the space shuttle.",
    "A close-up of a tabby cat with green eyes looking directly at the camera, with a blurred background of indoor furniture.",
    "An oil painting of a stormy sea with lightning striking a lighthouse, in the style of the nineteenth century.",
    "Aerial view of snow-covered mountains at sunrise, with mist filling the valley below and a winding river in the distance.",
    "A large blue circle above a small yellow triangle on a white background.",
)
ANY_UTF8 = (
    "naïve café ﬁ 東京タワー 🚀🏳️‍🌈",
    "\t tabs\r\n\n  two,    four and   three spaces ",
    "Привет, мир! ¿Qué tal? مرحبا",
    "\x00\x7f\u200b\ufeff\U0010ffff",
    "if x == 10:\n    return f'{x:03d}'",
    "",
)


@pytest.fixture(scope="module")
def bundled():
    return Tokenizer.from_file(str(BUNDLED))


@pytest.fixture(scope="module")
def small():
    return Tokenizer.from_str(to_json(fit_text(iter([TEXT]), LAYOUT_SIZE + 20)).decode())


def test_the_layout_is_the_published_one(bundled):
    vocab = load_vocab(str(BUNDLED))
    assert vocab.size == bundled.get_vocab_size() == 65_536
    assert (vocab.bos, vocab.end_of_image, vocab.start_of_image, vocab.end_of_turn, vocab.end_of_row) == (0, 8196, 8197, 8710, 8803)
    assert vocab.sizes[0] == 8804 and vocab.sizes[24] == 8828
    assert vocab.codes == tuple(range(4, 8196))
    assert bundled.id_to_token(14) == "IMGIMGBAZ"  # code 10
    assert [bundled.id_to_token(i) for i in (0, 1, 2, 3, 8198, 16_387)] == [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "<reserved08194>",
        "<reserved16383>",
    ]


def test_every_id_has_a_name_of_its_own(bundled):
    assert sorted(bundled.get_vocab().values()) == list(range(65_536))


def test_the_control_ids_are_those_of_the_recorded_tokenizer():
    golden = json.loads(GOLDEN.read_text())
    names = control_names()
    recorded = {name: i for name, i in golden["model"]["vocab"].items() if i < len(names) and not name.startswith("IMGIMG")}
    assert recorded == {name: i for i, name in enumerate(names) if not name.startswith("IMGIMG")}
    codes = {name for name in golden["model"]["vocab"] if name.startswith("IMGIMG")}
    assert codes == set(names[4 : 4 + NUM_CODES])  # there they are shuffled
    made = fit_text(iter([TEXT]), LAYOUT_SIZE)
    assert made["added_tokens"] == golden["added_tokens"]
    assert made.keys() == golden.keys() and made["model"].keys() == golden["model"].keys()
    alphabet = sorted(golden["model"]["vocab"].items(), key=lambda item: item[1])[len(names) : LAYOUT_SIZE]
    assert dict(alphabet) == {name: i for name, i in made["model"]["vocab"].items() if i >= len(names)}


@pytest.mark.parametrize("text", ANY_UTF8 + CAPTIONS)
def test_any_text_comes_back(bundled, small, text):
    for tokenizer in (bundled, small):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_captions_take_few_tokens(bundled):
    tokens = sum(len(bundled.encode(caption).ids) for caption in CAPTIONS)
    assert sum(map(len, CAPTIONS)) / tokens >= 4.5


def test_digits_and_punctuation_stand_apart(bundled):
    assert bundled.encode("512x768 ...").tokens == ["5", "1", "2", "x", "7", "6", "8", "Ġ", ".", ".", "."]
    assert bundled.encode("a\t\nb    c  d").tokens == ["a", "ĉ", "Ċ", "b", "ĠĠĠĠ", "c", "ĠĠ", "d"]


def test_the_splits_stand_in_the_published_order():
    splits = fit_text(iter([TEXT]), LAYOUT_SIZE)["pre_tokenizer"]["pretokenizers"]
    assert [split["type"] for split in splits] == ["Split"] * 6 + ["ByteLevel"]
    assert splits[0]["pattern"]["Regex"] == "<sentinel:[0-9]+>"
    assert splits[3]["pattern"]["Regex"] == r"\p{N}"
    assert splits[6]["use_regex"] is False


def test_frequent_words_become_tokens_and_merges_are_counted(small):
    assert small.get_vocab_size() == LAYOUT_SIZE + 20
    assert len(small.encode("red square").ids) < len("red square") / 2


def test_the_same_text_gives_the_same_bytes():
    first, second = (to_json(fit_text(iter([TEXT]), LAYOUT_SIZE + 20)) for _ in range(2))
    assert first == second


def test_too_little_text_is_refused():
    with pytest.raises(RecipeError, match="merges that occur 2 times or more, and 1000 are wanted"):
        fit_text(iter([TEXT]), LAYOUT_SIZE + 1000)


def test_a_vocabulary_smaller_than_the_layout_is_refused():
    with pytest.raises(RecipeError, match="leaves no room"):
        fit_text(iter([TEXT]), LAYOUT_SIZE - 1)


def test_files_are_read_in_pieces_and_in_order(tmp_path):
    (tmp_path / "a.txt").write_text("x\n" * 100 + "é")
    assert "".join(read_texts([str(tmp_path / "a.txt")])) == "x\n" * 100 + "é"
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    with pytest.raises(RecipeError, match="not UTF-8"):
        list(read_texts([str(tmp_path / "b.txt")]))
