"""What stops one record of a table from being a sample, and the pictures that records name."""

from pipeline.errors import ShardError
from pipeline.paths import join, open_fs


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
        name: A path, or a URL.

    Raises:
        BadRecord: It is not there: `missing_image`.
        ShardError: It cannot be read for another reason.
    """
    path = name if "://" in name else join(root, name)
    fs, bare = open_fs(path)
    try:
        return bytes(fs.cat_file(bare))
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise BadRecord("missing_image", f"{path}: {type(error).__name__}") from error
    except OSError as error:
        raise ShardError(f"{path}: {error}") from error
