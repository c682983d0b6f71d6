"""What stops one record of a table from being a sample, and the pictures that records name."""

import errno

from fsspec import AbstractFileSystem

from pipeline.errors import RecipeError, ShardError
from pipeline.paths import join, open_fs

# Errors that are about this one path, and remain when it is read again. The others (EIO, ESTALE, ETIMEDOUT, ...) may pass.
OF_THE_PATH = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
NUMBERS_OF_THE_PATH = frozenset((errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP))  # which have no class of their own


class BadRecord(Exception):
    """This record is no sample: a source makes a BadSample of it."""

    def __init__(self, reason: str, message: str):
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


def read_picture(root: str, name: str) -> bytes:
    """The file of a picture.

    Args:
        root: The folder that `name` is relative to.
        name: A path, or a URL. In a path nothing is special: "a::b.png" is a file's name.

    Raises:
        BadRecord: It is not there, or there can be no such file: `missing_image`.
        RecipeError: The protocol of `root` is unknown or its package is not installed.
        ShardError: It cannot be read for another reason.
    """
    is_url = "://" in name
    path = name if is_url else join(root, name)
    try:
        if is_url:
            fs, bare = _open(name)
        else:
            fs, folder = open_fs("/" if name.startswith("/") else root)
            bare = join(folder, name)
        return bytes(fs.cat_file(bare))
    except (*OF_THE_PATH, ValueError) as error:  # ValueError: a zero byte in the name
        raise BadRecord("missing_image", f"{path}: {type(error).__name__}") from error
    except OSError as error:
        if error.errno in NUMBERS_OF_THE_PATH:
            raise BadRecord("missing_image", f"{path}: {error.strerror}") from error
        raise ShardError(f"{path}: {error}") from error


def _open(path: str) -> tuple[AbstractFileSystem, str]:
    """As `open_fs`, for a path that stands in the data: what is wrong with it is no fault of the recipe."""
    try:
        return open_fs(path)
    except RecipeError as error:
        raise BadRecord("missing_image", str(error)) from error
