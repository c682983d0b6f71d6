"""Make a text tokenizer in Chameleon's layout from text files.

       0 ..     3   <s> <pad> </s> <unk>
       4 ..  8195   IMGIMG...Z, the code's decimal digits spelled A = 0 ... J = 9
    8196 ..  8197   <eoss> <racm3:break>
    8198 .. 16387   <reserved08194> ... <reserved16383>: <reservedNNNNN> is id NNNNN + 4
   16388 .. 16643   the 256 symbols of byte-level BPE
   16644 ..         one id a merge, the most frequent first

The splits before BPE are the published ones, in their order: each cuts what the one before it left.

Source: Chameleon 2405.09818, section 2.2, and the layout of its `text_tokenizer.json`; byte-level BPE: Radford et al. 2019 (GPT-2).
"""

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from pipeline.errors import RecipeError
from pipeline.paths import read_bytes

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
NUM_CODES = 8192
LAST_RESERVED = 16383
MIN_FREQUENCY = 2  # a merge seen once is a typing error as often as a word
CHUNK_LINES = 64  # lines that go to the trainer together: the splits may look across a line's end

SPLITS = (
    r"<sentinel:[0-9]+>",
    r"(IMGIMG)((A|B|C|D|E|F|G|H|I|J){1,4})Z",
    r"([\t\n]|    |  )",
    r"\p{N}",  # every digit apart
    r"[\p{P}!-/:-@\[-`{-~]",  # every punctuation mark apart
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2's words
)


def fit_text(texts: Iterator[str], vocab_size: int) -> dict[str, Any]:
    """Learn merges and lay the vocabulary out.

    Args:
        texts: Pieces of plain text; the same pieces in the same order give the same tokenizer.
        vocab_size: Ids in all, merges filling up what the layout leaves.

    Returns:
        What `text_tokenizer.json` holds.

    Raises:
        RecipeError: The text is too little for that many merges.
    """
    control = control_names()
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    num_merges = vocab_size - len(control) - len(symbols)
    if num_merges < 0:
        raise RecipeError(f"vocab_size: {vocab_size} leaves no room for text; the layout alone takes {len(control) + len(symbols)}")
    merges = _learn_merges(texts, symbols, num_merges) if num_merges else []
    if len(merges) < num_merges:
        raise RecipeError(f"the text holds {len(merges)} merges that occur {MIN_FREQUENCY} times or more, and {num_merges} are wanted")
    names = [*control, *symbols, *("".join(pair) for pair in merges)]
    added = [name for name in control if not name.startswith("IMGIMG")]  # code names stay words of the model, as published
    ids = {name: i for i, name in enumerate(names)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(ids[name], name) for name in added],
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(),
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": ids,
            "merges": [list(pair) for pair in merges],
        },
    }


def control_names() -> list[str]:
    """Every name below the text ids, by id."""
    codes = [f"IMGIMG{''.join(chr(ord('A') + int(digit)) for digit in str(code))}Z" for code in range(NUM_CODES)]
    reserved = [f"<reserved{n:05d}>" for n in range(NUM_CODES + 2, LAST_RESERVED + 1)]
    return [*SPECIALS, *codes, "<eoss>", "<racm3:break>", *reserved]


def to_json(tokenizer: dict[str, Any]) -> bytes:
    """Without spaces: the file is read by programs, and it is a third smaller so."""
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()


def read_texts(paths: list[str]) -> Iterator[str]:
    """Pieces of UTF-8 text files, in order.

    Raises:
        RecipeError: No such file, or another encoding.
    """
    for path in paths:
        try:
            lines = read_bytes(path).decode().splitlines(keepends=True)
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path}: not UTF-8 ({error})") from error
        for start in range(0, len(lines), CHUNK_LINES):
            yield "".join(lines[start : start + CHUNK_LINES])


def _learn_merges(texts: Iterator[str], symbols: list[str], num_merges: int) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Tokenizer.from_str(to_json(_empty(_pre_tokenizer())).decode()).pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=len(symbols) + num_merges, min_frequency=MIN_FREQUENCY, initial_alphabet=symbols, special_tokens=[], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def _pre_tokenizer() -> dict[str, Any]:
    splits = [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False} for pattern in SPLITS]
    return {
        "type": "Sequence",
        "pretokenizers": [*splits, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}],
    }


def _empty(pre_tokenizer: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer without words: the library reads a pre-tokenizer only as part of one."""
    return {"version": "1.0", "added_tokens": [], "pre_tokenizer": pre_tokenizer, "model": {"type": "BPE", "vocab": {}, "merges": []}}


def _added_token(token_id: int, name: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": name, **flags}
