"""Where the members of a tar lie, from its headers alone, and where the tar is damaged.

`tarfile` takes a broken header for the end of the archive and so loses what follows without a word; here the end must be one.
"""

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from lzma import LZMAError
from typing import IO

import fsspec

from pipeline.errors import ShardError
from pipeline.paths import is_local, open_fs

BLOCK = 512  # bytes; every header and every member's data begins at a multiple of it
COMPRESSIONS = {".gz": "gzip", ".tgz": "gzip", ".bz2": "bz2", ".xz": "xz"}


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a tar."""

    name: str  # with lone surrogates for bytes that are no UTF-8
    offset: int  # of its data, bytes
    size: int  # bytes


class DamagedTar(Exception):
    """From `offset` on the tar cannot be read. What was found before it is sound."""

    def __init__(self, offset: int, message: str, member: str = ""):
        super().__init__(offset, message, member)
        self.offset = offset
        self.message = message
        self.member = member  # name of the member whose data is cut off, if that is what is wrong


@contextmanager
def open_tar(path: str) -> Iterator[IO[bytes]]:
    """A tar as an uncompressed local file. One that is neither is copied into a temporary file first, in one sequential read.

    Raises:
        ShardError: The file cannot be read.
    """
    compression = next((kind for ending, kind in COMPRESSIONS.items() if path.lower().endswith(ending)), None)
    try:
        if compression is None and is_local(path):
            with open(open_fs(path)[1], "rb") as file:
                yield file
            return
        with tempfile.TemporaryFile() as copy:
            with fsspec.open(path, "rb", compression=compression) as file:
                _copy(file, copy)
            yield copy
    except OSError as error:
        raise ShardError(f"{path}: {error}") from error


def walk(file: IO[bytes], path: str) -> Iterator[Member]:
    """The regular files of a tar, in order.

    Args:
        file: From `open_tar`.
        path: Its name, for messages.

    Raises:
        ShardError: This is no tar.
        DamagedTar: Its rest cannot be read.
    """
    num_bytes = file.seek(0, 2)
    file.seek(0)
    try:
        tar = tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115 (`file` is the caller's)
    except tarfile.TarError as error:
        raise ShardError(f"{path}: no tar ({error})") from error
    while True:
        start = tar.offset
        try:
            info = tar.next()
        except tarfile.TarError as error:
            raise DamagedTar(start, str(error)) from error
        tar.members = []  # type: ignore[attr-defined]  # it would keep every header
        if info is None:
            break
        if info.offset_data + info.size > num_bytes:
            raise DamagedTar(info.offset, f"the file ends within {info.name}", info.name)
        if info.isreg() and not info.issparse():
            yield Member(info.name, info.offset_data, info.size)
    file.seek(tar.offset)
    block = file.read(BLOCK)
    if block != bytes(BLOCK):
        raise DamagedTar(tar.offset, "a broken header" if len(block) == BLOCK else "the file ends without the end-of-archive mark")


def _copy(file: IO[bytes], copy: IO[bytes]) -> None:
    with suppress(EOFError, zlib.error, LZMAError):  # cut off or damaged inside its compression: `walk` finds the end missing and says so
        shutil.copyfileobj(file, copy, length=1 << 20)
    copy.seek(0)
