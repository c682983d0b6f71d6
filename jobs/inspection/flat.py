"""A shard's table as the flat numpy arrays that the grammar is checked on. Nothing is copied."""

import numpy as np
import pyarrow as pa

from pipeline.errors import VerificationError
from tokenizer.grammar_scan import FlatSequences


def open_flat(table: pa.Table, name: str) -> FlatSequences:
    """Views of a shard's list columns, once the whole table is known to be sound.

    Raises:
        VerificationError: The table is damaged (offsets, text that is no UTF-8), holds nulls or several record batches.
    """
    check_table(table, name)
    ids, offsets = _views(table["input_ids"])
    spans, span_offsets = _views(table["loss_spans"])
    images, image_offsets = _list(table["images"])
    start, height, width = (images.field(part).to_numpy(zero_copy_only=True) for part in ("start", "height", "width"))
    return FlatSequences(ids, offsets, spans, span_offsets, start, height, width, image_offsets)


def check_table(table: pa.Table, name: str) -> None:
    """Refuse a table whose buffers contradict each other, before anything relies on them.

    Raises:
        VerificationError: It is damaged, holds nulls, or several record batches.
    """
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise VerificationError(f"{name}: damaged ({error})") from error
    for column, field in zip(table.columns, table.schema, strict=True):
        if column.null_count:
            raise VerificationError(f"{name}: {column.null_count} values are missing in column {field.name}")
        if column.num_chunks > 1:
            raise VerificationError(f"{name}: {column.num_chunks} record batches, a file holds one")


def cut_rows(flat: FlatSequences, start: int, stop: int) -> FlatSequences:
    """Rows `start` to `stop`."""
    edges = slice(start, stop + 1)
    return FlatSequences(
        flat.ids,
        flat.offsets[edges],
        flat.spans,
        flat.span_offsets[edges],
        flat.image_starts,
        flat.image_heights,
        flat.image_widths,
        flat.image_offsets[edges],
    )


def _views(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    values, offsets = _list(column)
    return values.to_numpy(zero_copy_only=True), offsets


def _list(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The values and the [rows + 1] offsets of a list column."""
    chunk = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    return chunk.values, chunk.offsets.to_numpy(zero_copy_only=True)
