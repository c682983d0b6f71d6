"""Text as it lies in data: decode it, find what is no UTF-8, show bad bytes.

Bytes that are no UTF-8 become lone surrogates where a str must hold them (a file's name, a line of JSON), as Python's own file names do.
Such a str cannot be written to Arrow, so it never leaves a source: the record fails, and what goes into the ledger is escaped.
"""

import json
import re
from typing import Any

_SMUGGLED_BYTE = re.compile("[\udc80-\udcff]")


def decode_caption(data: bytes) -> str:
    """The text of a caption file: UTF-8, with or without a byte-order mark; the line end that closes the file is no part of the caption.

    Raises:
        UnicodeDecodeError: Not UTF-8.
    """
    return data.decode("utf-8-sig").rstrip("\r\n")


def smuggle(data: bytes) -> str:
    """Decode UTF-8, with every byte that is none kept as a lone surrogate; `is_clean` tells."""
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def is_clean(value: Any) -> bool:
    """Whether every text in a JSON value can be written as UTF-8."""
    try:
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()
    except UnicodeEncodeError:
        return False
    return True


def escape(text: str | bytes) -> str:
    r"""Show what is no UTF-8 as backslash sequences: b"caf\xe9" becomes the nine characters caf\xe9."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "backslashreplace")
    shown = _SMUGGLED_BYTE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)
    return shown.encode("utf-8", "backslashreplace").decode()


def as_key(name: str) -> str:
    """A name as a key: webdataset cuts a file's name at its first dot, so a key has none."""
    return name.replace(".", "_")
