"""The golden text tokenizer, loaded once."""

import pytest

from tests.conftest import GOLDEN
from tokenizer.text import TextTokenizer
from tokenizer.vocab import Vocab


@pytest.fixture(scope="session")
def text() -> TextTokenizer:
    return TextTokenizer(str(GOLDEN / "tokenizer" / "text_tokenizer.json"))


@pytest.fixture(scope="session")
def vocab(text: TextTokenizer) -> Vocab:
    return text.vocab
