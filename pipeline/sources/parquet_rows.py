"""Rows of a Parquet file, some at a time, whatever its row groups are."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.paths import open_fs

BATCH_ROWS = 16  # that are in memory at a time
BUFFER = 1 << 20  # bytes a column chunk is read by; without it a row group is loaded whole


def open_table(path: str) -> pq.ParquetFile:
    fs, bare = open_fs(path)
    return pq.ParquetFile(fs.open(bare, "rb"), buffer_size=BUFFER, pre_buffer=False)


def iterate_rows(file: pq.ParquetFile, columns: list[str], start: int, stop: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows `start` to `stop` with their numbers; only the row groups that hold them are read, some rows at a time."""
    groups: list[int] = []
    first_row, row = 0, 0
    for group in range(file.num_row_groups):
        num_rows = file.metadata.row_group(group).num_rows
        if row < stop and row + num_rows > start:
            if not groups:
                first_row = row
            groups.append(group)
        row += num_rows
    row = first_row
    for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns, use_threads=False):
        if row >= stop:
            return
        low, high = max(start - row, 0), min(stop - row, batch.num_rows)
        if low < high:
            part = _with_bytes_for_text(batch.slice(low, high - low))
            yield from enumerate(part.to_pylist(), start=row + low)
        row += batch.num_rows


def _with_bytes_for_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Texts as bytes: pyarrow believes that a string column is UTF-8, and would raise for a whole batch."""
    arrays = []
    for array in batch.columns:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_large_string(array.type):
            array = array.cast(pa.large_binary())
        elif pa.types.is_string(array.type) or pa.types.is_string_view(array.type):
            array = array.cast(pa.binary())
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
