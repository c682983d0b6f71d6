"""Arrow IPC files: written whole, one record batch; read by memory map."""

import pyarrow as pa

from pipeline import paths
from pipeline.errors import VerificationError


def write_arrow(path: str, table: pa.Table) -> None:
    """Commit a table as an uncompressed IPC file of one record batch."""
    table = table.combine_chunks()

    def write(file: object) -> None:
        with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=None, unify_dictionaries=True)) as writer:
            writer.write_table(table, max_chunksize=max(table.num_rows, 1))

    paths.commit(path, write)


def read_arrow(path: str) -> pa.Table:
    """Open an IPC file: mapped when it is local, read otherwise.

    Raises:
        VerificationError: It is missing or no Arrow IPC file.
    """
    try:
        local = paths.is_local(path)
        source = pa.memory_map(paths.open_fs(path)[1]) if local else pa.BufferReader(paths.read_bytes(path))
        return pa.ipc.open_file(source).read_all()
    except (pa.ArrowException, OSError) as error:  # a flipped bit in the footer raises any of Arrow's errors
        raise VerificationError(f"{path}: no readable Arrow file ({error})") from error
