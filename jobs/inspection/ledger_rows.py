"""The ledger that belongs to a folder of token shards, read back."""

import posixpath

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.errors import VerificationError
from pipeline.ledger import LEDGER_FOLDER


def output_folder(tokens_folder: str) -> str:
    """The OUTPUT that a token folder lies in."""
    folder = paths.open_fs(tokens_folder)[1] if paths.is_local(tokens_folder) else tokens_folder
    return posixpath.dirname(folder.rstrip("/"))


def ledger_folder(tokens_folder: str) -> str:
    """Where the ledger lies: beside the token folder."""
    return paths.join(output_folder(tokens_folder), LEDGER_FOLDER)


def read_part(path: str, columns: list[str] | None = None) -> pa.Table:
    """One part of a ledger.

    Raises:
        VerificationError: It is missing, no readable parquet file, or lacks a column.
    """
    fs, bare = paths.open_fs(path)
    try:
        with fs.open(bare, "rb") as file:
            return pq.read_table(file, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise VerificationError(f"{path}: no readable ledger ({error})") from error


def find_ledger_row(folder: str, key: str) -> dict[str, object] | None:
    """The row of a sample: the accepted one where several inputs share the key; None where there is no such sample."""
    found: list[dict[str, object]] = []
    for name in paths.list_files(folder):
        keys = read_part(paths.join(folder, name), ["key"])["key"].to_pylist()
        if key in keys:
            table = read_part(paths.join(folder, name))
            found += table.take([number for number, other in enumerate(keys) if other == key]).to_pylist()
    found.sort(key=lambda row: row["disposition"] != "accepted")
    return found[0] if found else None
