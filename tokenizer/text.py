"""Text to ids and back, with control tokens made harmless.

A caption that spells a control token (`<racm3:break>`, `<reserved08706>`, `IMGIMGBAZ`, ...) must not become one, and must not be changed
either. The spelling is cut in the middle and its halves are encoded apart, so the ids still decode to the very same text.

Source: Lumina-mGPT, `Tokenizer.encode_segment`; the published tokenizer file carries its own splits, so `tokenizers` reads it and nothing
else touches the text.
"""

from tokenizers import Tokenizer

from pipeline.errors import RecipeError
from pipeline.paths import read_bytes
from tokenizer.vocab import CONTROL_NAME, Vocab, load_vocab


class TextTokenizer:
    """The text half of the vocabulary."""

    def __init__(self, path: str):
        """Load a file of the `tokenizers` library.

        Raises:
            RecipeError: No such file, or no tokenizer in Chameleon's layout.
        """
        self.vocab: Vocab = load_vocab(path)
        try:
            self._tokenizer = Tokenizer.from_buffer(read_bytes(path))
        except ValueError as error:
            raise RecipeError(f"{path}: {error}") from error
        self._tokenizer.encode_special_tokens = True  # special tokens in a text are spelled out, not recognised
        names = self._tokenizer.get_vocab(with_added_tokens=True)
        self._control = frozenset(token_id for name, token_id in names.items() if CONTROL_NAME.fullmatch(name))

    def encode(self, text: str) -> list[int]:
        """The ids of a piece of text, without begin-of-sequence; never a control token.

        Raises:
            ValueError: The tokenizer makes a control token of a text that spells none.
        """
        ids = self._encode(text)
        if self._control.isdisjoint(ids):
            return ids
        ids = [token_id for piece in _cut_control_names(text) for token_id in self._encode(piece)]
        if not self._control.isdisjoint(ids):
            raise ValueError(f"this tokenizer turns plain text into a control token: {text!r}")
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of text ids."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _cut_control_names(text: str) -> list[str]:
    """Pieces none of which spells a control token. The search goes on behind each cut, for one name can hide another's beginning."""
    pieces, end = [], 0
    while match := CONTROL_NAME.search(text, end):
        middle = (match.start() + match.end()) // 2
        pieces.append(text[end:middle])
        end = middle
    return [*pieces, text[end:]]
