"""The vocabulary: which id means what. Read by name from `text_tokenizer.json`, never computed from an offset.

A code is an index into the VQ codebook, an id an index into the vocabulary; `code_to_id` is the only bridge. The published file happens
to have code c at id c + 4; others need not.

Source: Chameleon's `VocabInfo` (names), Lumina-mGPT `FlexARItemProcessor.get_n_grids_token` (size and line-break tokens).
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from pipeline.errors import RecipeError
from pipeline.paths import read_bytes

BOS = "<s>"
START_OF_IMAGE = "<racm3:break>"
END_OF_IMAGE = "<eoss>"
END_OF_TURN = "<reserved08706>"
END_OF_ROW = "<reserved08799>"
SIZE_ZERO = 8800  # "<reserved08800>" stands for 0 grids of 32 pixels; n grids is "<reserved{8800 + n:05d}>"
MAX_SIZE_GRIDS = 512  # names of size tokens are looked up as far as this: 16,384 pixels a side

CODE_NAME = re.compile(r"IMGIMG([A-J]+)Z")
# Every spelling that names a token which text must never produce; `<|image|>` is the placeholder of dialogues, no token.
CONTROL_NAME = re.compile(
    r"IMGIMG[A-Z]*?Z|<reserved\d+>|<racm3:break>|<eoss>|<sentinel:\d+>|<\|[A-Za-z_]+\|>|</?s>|<pad>|<unk>|<mask>", re.ASCII
)


@dataclass(frozen=True)
class Vocab:
    """The ids that this project names. Text ids are the text tokenizer's own business."""

    size: int  # ids are below it
    bos: int
    start_of_image: int
    end_of_image: int
    end_of_turn: int
    end_of_row: int  # the line break after each row of codes
    sizes: tuple[int, ...]  # sizes[n] is the id of the size token for n grids
    codes: tuple[int, ...]  # codes[c] is the id of VQ code c
    fingerprint: str  # sha256 of the file it was read from

    @cached_property
    def dtype(self) -> np.dtype:
        """The smallest unsigned type that holds every id."""
        return np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)

    @cached_property
    def code_to_id(self) -> np.ndarray:
        """[num_codes], `dtype`."""
        return np.array(self.codes, self.dtype)

    @cached_property
    def id_to_code(self) -> np.ndarray:
        """[size] int32: the VQ code of an id, -1 where the id is none."""
        return _inverse(self.codes, self.size)

    @cached_property
    def id_to_size(self) -> np.ndarray:
        """[size] int32: the number of grids that an id stands for, -1 where it is no size token."""
        return _inverse(self.sizes, self.size)

    @cached_property
    def is_control(self) -> np.ndarray:
        """[size] bool: ids that carry structure and that no text may produce. Other reserved ids are the text module's to avoid."""
        control = (self.id_to_code >= 0) | (self.id_to_size >= 0)
        control[[self.bos, self.start_of_image, self.end_of_image, self.end_of_turn, self.end_of_row]] = True
        return control


@lru_cache(maxsize=8)
def load_vocab(path: str) -> Vocab:
    """Read the ids by name from a `tokenizers` file.

    Raises:
        RecipeError: No such file, not a tokenizer file, or a token that the layout needs is missing.
    """
    data = read_bytes(path)
    try:
        model = json.loads(data)
        names: dict[str, int] = dict(model["model"]["vocab"])
        names |= {token["content"]: token["id"] for token in model["added_tokens"]}
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{path}: no tokenizer file of the `tokenizers` library ({type(error).__name__}: {error})") from error

    def find(name: str) -> int:
        if name not in names:
            raise RecipeError(f"{path}: token {name} is missing; this is no tokenizer in Chameleon's layout")
        return names[name]

    codes = {_code_of(match): names[name] for name in names if (match := CODE_NAME.fullmatch(name))}
    if not codes or sorted(codes) != list(range(len(codes))):
        raise RecipeError(f"{path}: the image tokens IMGIMG...Z do not name the codes 0 to n without a gap ({len(codes)} found)")
    size_names = (f"<reserved{SIZE_ZERO + n:05d}>" for n in range(MAX_SIZE_GRIDS + 1))
    return Vocab(
        size=max(names.values()) + 1,
        bos=find(BOS),
        start_of_image=find(START_OF_IMAGE),
        end_of_image=find(END_OF_IMAGE),
        end_of_turn=find(END_OF_TURN),
        end_of_row=find(END_OF_ROW),
        sizes=tuple(find(name) for name in size_names),
        codes=tuple(codes[code] for code in range(len(codes))),
        fingerprint=hashlib.sha256(data).hexdigest(),
    )


def _code_of(match: re.Match[str]) -> int:
    return int("".join(str(ord(letter) - ord("A")) for letter in match[1]))


def _inverse(ids: tuple[int, ...], size: int) -> np.ndarray:
    inverse = np.full(size, -1, np.int32)
    inverse[list(ids)] = np.arange(len(ids))
    return inverse
