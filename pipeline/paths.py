"""Files by fsspec path: read, list, commit whole or not at all, checksums.

A path is local ("runs/demo") or a URL ("s3://bucket/run"). A file appears under its name complete or not at all: it is written under a
temporary name beside it, flushed to the disk, and renamed. Object stores have no rename, but there a PUT is already all or nothing.
"""

import hashlib
import os
import posixpath
import shutil
import uuid
from collections.abc import Callable
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RecipeError

TEMPORARY_SUFFIX = ".tmp"
CHUNK = 1 << 22  # bytes a read while hashing or copying


def open_fs(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path, and the path on it.

    Raises:
        RecipeError: The protocol is unknown, its package is not installed, or a path is not enough for it.
    """
    try:
        fs, bare = fsspec.core.url_to_fs(path)
    except (ValueError, ImportError, TypeError, AttributeError) as error:  # the last two: "reference://", "dir://" want more than a path
        raise RecipeError(f"{path}: {error}") from error
    return fs, bare


def is_local(path: str) -> bool:
    return isinstance(open_fs(path)[0], LocalFileSystem)


def join(*parts: str) -> str:
    return posixpath.join(*parts)


def exists(path: str) -> bool:
    fs, bare = open_fs(path)
    return bool(fs.exists(bare))


def size(path: str) -> int:
    """Bytes.

    Raises:
        RecipeError: There is no such file.
    """
    fs, bare = open_fs(path)
    try:
        return int(fs.size(bare))
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no such file") from error


def list_files(path: str) -> list[str]:
    """Names (not paths) of the files directly in a folder, sorted; none where there is no folder."""
    fs, bare = open_fs(path)
    if not fs.isdir(bare):
        return []
    fs.invalidate_cache(bare)
    return sorted(posixpath.basename(entry["name"]) for entry in fs.ls(bare, detail=True) if entry["type"] == "file")


def read_bytes(path: str) -> bytes:
    """The whole file.

    Raises:
        RecipeError: There is no such file.
    """
    fs, bare = open_fs(path)
    try:
        return bytes(fs.cat_file(bare))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise RecipeError(f"{path}: no such file") from error


def commit(path: str, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file whole or not at all.

    Args:
        path: The final name; what was there before is replaced.
        write: Called with the open temporary file.
    """
    fs, bare = open_fs(path)
    fs.makedirs(posixpath.dirname(bare), exist_ok=True)
    if not isinstance(fs, LocalFileSystem):
        with fs.open(bare, "wb") as file:
            write(file)
        return
    temporary = f"{bare}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}"
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, bare)
    except BaseException:  # Ctrl-C and a full disk too: no half file stays behind
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
    sync(os.path.dirname(bare) or ".")


def commit_bytes(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    commit(path, lambda file: file.write(data))


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it, if it is there."""
    fs, bare = open_fs(path)
    if isinstance(fs, LocalFileSystem):
        shutil.rmtree(bare, ignore_errors=not os.path.isdir(bare))
    elif fs.exists(bare):
        fs.rm(bare, recursive=True)


def remove_temporaries(path: str) -> None:
    """Remove what a killed process left half written directly in a folder."""
    fs, bare = open_fs(path)
    for name in list_files(path):
        if name.endswith(TEMPORARY_SUFFIX):
            fs.rm_file(posixpath.join(bare, name))


def sha256(path: str) -> str:
    """Checksum of a file, read in pieces."""
    fs, bare = open_fs(path)
    digest = hashlib.sha256()
    with fs.open(bare, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync(path: str) -> None:
    """Make a local file, or the names in a local folder, last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
