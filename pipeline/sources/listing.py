"""Which files a source's `path` names.

pictures/0.tar                     one file
data/{00000..00012}.tar            braces, as in webdataset and bash; {a,b} too
data/*.tar                         a glob
data                               a folder: every file directly in it with the source's ending
first/{0..3}.tar::second/*.tar     several of these, in this order
"""

from braceexpand import braceexpand

from pipeline.errors import RecipeError
from pipeline.images import FILE_ENDINGS
from pipeline.paths import exists, is_local, join, list_files, open_fs, size

PICTURE_ENDINGS = frozenset(ending for endings in FILE_ENDINGS.values() for ending in endings)


def list_inputs(path: str, ending: str) -> list[str]:
    """The files, in the order in which they are read.

    Args:
        path: As drawn above; local or URLs.
        ending: With its dot; which files of a folder count.

    Raises:
        RecipeError: A file that is not there, a glob or a folder that holds nothing, a file named twice.
    """
    files = [file for part in path.split("::") for file in _expand(part, ending)]
    if len(set(files)) < len(files):
        twice = next(file for i, file in enumerate(files) if file in files[:i])
        raise RecipeError(f"{path}: names {twice} twice")
    return files


def sizes(files: list[str]) -> dict[str, str]:
    """What identifies the input: bytes by file."""
    return {file: f"{size(file)} bytes" for file in files}


def _expand(path: str, ending: str) -> list[str]:
    fs, bare = open_fs(path)
    if fs.isdir(bare):
        names = [name for name in list_files(path) if name.lower().endswith(ending)]
        if not names:
            raise RecipeError(f"{path}: no {ending} file in this folder")
        return [join(path, name) for name in names]
    if exists(path):  # before braces and stars, which a file's name may hold
        return [path]
    try:
        patterns = list(braceexpand(path))
    except ValueError as error:  # unbalanced braces
        raise RecipeError(f"{path}: {error}") from error
    return [file for pattern in patterns for file in _match(pattern)]


def _match(pattern: str) -> list[str]:
    if not any(mark in pattern for mark in "*?["):
        if not exists(pattern):
            raise RecipeError(f"{pattern}: no such file")
        return [pattern]
    fs, bare = open_fs(pattern)
    found = sorted(str(name) for name in fs.glob(bare))
    if not found:
        raise RecipeError(f"{pattern}: no file matches")
    return found if is_local(pattern) else [str(fs.unstrip_protocol(name)) for name in found]
