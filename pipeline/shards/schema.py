"""The token shard format, version 1: Arrow IPC files, uncompressed, one record batch each.

    OUTPUT/tokens/
      manifest.json          written last: versions, fingerprints, and for every file its rows, tokens, bytes and sha256
      index.arrow            one row a sequence, in shard order: batches are planned from it without touching data
      text_tokenizer.json    the vocabulary that the ids belong to
      shard-00000.arrow ...  the sequences

Uncompressed and in one batch, `input_ids` is one contiguous array: a reader maps the file and looks, nothing is copied or parsed.
"""

import json
import zlib

import numpy as np
import pyarrow as pa

from pipeline.samples import TokenSequence

FORMAT_VERSION = 1
TOKENS_FOLDER = "tokens"
MANIFEST = "manifest.json"
INDEX = "index.arrow"
TEXT_TOKENIZER = "text_tokenizer.json"
SHARD_NAME = "shard-{:05d}.arrow"

IMAGE_TYPE = pa.struct([("start", pa.uint32()), ("height", pa.uint16()), ("width", pa.uint16())])  # start in tokens, sides in pixels
INDEX_SCHEMA = pa.schema(
    [
        ("shard", pa.uint32()),
        ("row", pa.uint32()),
        ("tokens", pa.uint32()),
        ("loss_tokens", pa.uint32()),
        ("task", pa.dictionary(pa.int16(), pa.string())),
        ("bucket", pa.dictionary(pa.int16(), pa.string())),  # "WxH" of the last image in pixels, "" without one
    ]
)


def token_schema(dtype: np.dtype) -> pa.Schema:
    """The columns of a token shard whose ids are `dtype` (uint16 or uint32)."""
    return pa.schema(
        [
            ("key", pa.string()),
            ("task", pa.string()),
            ("input_ids", pa.list_(pa.from_numpy_dtype(dtype))),
            ("loss_spans", pa.list_(pa.uint32())),  # half-open pairs, flat
            ("images", pa.list_(IMAGE_TYPE)),
            ("caption", pa.string()),
            ("metadata", pa.string()),  # JSON
            ("crc32", pa.uint32()),  # of the bytes of input_ids
        ]
    )


def token_table(sequences: list[TokenSequence], dtype: np.dtype) -> pa.Table:
    """One table of one chunk, rows in the order given."""
    schema = token_schema(dtype)
    ids = [sequence.input_ids.astype(dtype, copy=False) for sequence in sequences]
    offsets = np.zeros(len(ids) + 1, np.int32)
    np.cumsum([len(array) for array in ids], out=offsets[1:])
    flat = np.concatenate(ids) if ids else np.empty(0, dtype)
    columns = [
        pa.array([sequence.key for sequence in sequences], pa.string()),
        pa.array([sequence.task for sequence in sequences], pa.string()),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat)),
        pa.array([[edge for span in sequence.loss_spans for edge in span] for sequence in sequences], schema.field("loss_spans").type),
        pa.array(
            [[{"start": i.start, "height": i.height, "width": i.width} for i in sequence.images] for sequence in sequences],
            schema.field("images").type,
        ),
        pa.array([sequence.caption for sequence in sequences], pa.string()),
        pa.array([_json(sequence.metadata) for sequence in sequences], pa.string()),
        pa.array([zlib.crc32(array.tobytes()) for array in ids], pa.uint32()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def index_rows(table: pa.Table, shard: int) -> pa.Table:
    """The index of one shard's table."""
    rows = table.num_rows
    lengths = table["input_ids"].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    spans = table["loss_spans"].to_pylist()
    images = table["images"].to_pylist()
    buckets = [f"{row[-1]['width']}x{row[-1]['height']}" if row else "" for row in images]
    return pa.table(
        [
            pa.array(np.full(rows, shard, np.uint32)),
            pa.array(np.arange(rows, dtype=np.uint32)),
            pa.array(lengths.astype(np.uint32)),
            pa.array([sum(row[1::2]) - sum(row[::2]) for row in spans], pa.uint32()),
            table["task"].combine_chunks().dictionary_encode().cast(INDEX_SCHEMA.field("task").type),
            pa.array(buckets, pa.string()).dictionary_encode().cast(INDEX_SCHEMA.field("bucket").type),
        ],
        schema=INDEX_SCHEMA,
    )


def _json(metadata: object) -> str:
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True, separators=(",", ":")) if metadata else ""
