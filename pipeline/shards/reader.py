"""Read token shards: mapped, nothing copied until it is asked for."""

import json
from bisect import bisect_right
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import paths
from pipeline.errors import VerificationError
from pipeline.samples import ImageSpan, TokenSequence
from pipeline.shards.arrow_file import read_arrow
from pipeline.shards.manifest import FileEntry, Manifest, find_tokens_folder, load_manifest
from pipeline.shards.schema import INDEX_SCHEMA, TEXT_TOKENIZER, token_schema


class TokenShards:
    """All sequences of a token folder, by their number in index order.

    Args:
        path: An OUTPUT, or its `tokens` folder.

    Raises:
        RecipeError: There are no token shards.
        VerificationError: A file is missing, or is not of the size or schema that the manifest states.
    """

    def __init__(self, path: str):
        self.folder = find_tokens_folder(path)
        self.manifest: Manifest = load_manifest(self.folder)
        for entry in (*self.manifest.shards, self.manifest.index, self.manifest.text_tokenizer):
            self._check(entry)
        self._columns: dict[int, _Columns] = {}
        self._first_rows: list[int] = np.cumsum([0] + [shard.rows for shard in self.manifest.shards]).tolist()  # and the number of all

    def __len__(self) -> int:
        return self.manifest.num_sequences

    @cached_property
    def index(self) -> pa.Table:
        """One row a sequence: shard, row, tokens, loss_tokens, task, bucket."""
        table = read_arrow(paths.join(self.folder, self.manifest.index.name))
        if table.schema != INDEX_SCHEMA or table.num_rows != len(self):
            raise VerificationError(f"{self.folder}: the index does not list the {len(self)} sequences of the manifest")
        return table

    @property
    def text_tokenizer(self) -> str:
        """Path of the vocabulary that the ids belong to."""
        return paths.join(self.folder, TEXT_TOKENIZER)

    def shard_table(self, name: str) -> pa.Table:
        """A shard as a table; its columns are views of the mapped file."""
        table = read_arrow(paths.join(self.folder, name))
        schema = token_schema(np.dtype(self.manifest.token_dtype))
        if table.schema != schema:
            raise VerificationError(
                f"{name}: the columns are {table.schema.names}, wanted {schema.names} with {self.manifest.token_dtype} ids"
            )
        try:
            table.validate()
        except pa.ArrowException as error:
            raise VerificationError(f"{name}: damaged ({error})") from error
        return table

    def input_ids(self, number: int) -> np.ndarray:
        """[L] the ids of a sequence, a read-only view of the mapped file."""
        columns, row = self._locate(number)
        offsets = columns.offsets
        return columns.values[offsets[row] : offsets[row + 1]]

    def loss_spans(self, number: int) -> np.ndarray:
        """[N, 2] uint32, half-open."""
        columns, row = self._locate(number)
        return columns.span_values[columns.span_offsets[row] : columns.span_offsets[row + 1]].reshape(-1, 2)

    def read(self, number: int) -> TokenSequence:
        """One sequence with all that is stored of it."""
        columns, row = self._locate(number)
        try:
            metadata = columns.metadata[row]
            starts, heights, widths, of_row = columns.images
            images = range(of_row[row], of_row[row + 1])
            return TokenSequence(
                key=columns.key[row],
                task=columns.task[row],
                input_ids=self.input_ids(number),
                loss_spans=tuple((start, stop) for start, stop in self.loss_spans(number).tolist()),
                images=tuple(ImageSpan(starts[i], heights[i], widths[i]) for i in images),
                caption=columns.caption[row],
                metadata=json.loads(metadata) if metadata else {},
            )
        except ValueError as error:  # text that is no UTF-8, metadata that is no JSON, half a loss span
            raise VerificationError(f"{self.folder}: sequence {number} is damaged ({error})") from error

    def crc(self, number: int) -> int:
        """The CRC-32 stored for a sequence's ids."""
        columns, row = self._locate(number)
        return int(columns.table["crc32"][row].as_py())

    def find(self, key: str) -> list[int]:
        """The numbers of all sequences of a sample."""
        found: list[int] = []
        for shard in range(len(self.manifest.shards)):
            rows = pc.indices_nonzero(pc.equal(self._shard(shard).table["key"], key)).to_numpy()
            found += (self._first_rows[shard] + rows).tolist()
        return found

    def _locate(self, number: int) -> tuple["_Columns", int]:
        if not 0 <= number < self._first_rows[-1]:
            raise IndexError(f"sequence {number} of {len(self)}")
        shard = bisect_right(self._first_rows, number) - 1
        return self._columns.get(shard) or self._shard(shard), number - self._first_rows[shard]

    def _shard(self, shard: int) -> "_Columns":
        if shard not in self._columns:
            table = self.shard_table(self.manifest.shards[shard].name)
            if table.num_rows != self.manifest.shards[shard].rows:
                raise VerificationError(f"{self.manifest.shards[shard].name}: {table.num_rows} rows, the manifest states another number")
            self._columns[shard] = _Columns(table)
        return self._columns[shard]

    def _check(self, entry: FileEntry) -> None:
        path = paths.join(self.folder, entry.name)
        if not paths.exists(path):
            raise VerificationError(f"{path}: missing")
        if (found := paths.size(path)) != entry.bytes:
            raise VerificationError(f"{path}: {found} bytes, the manifest states {entry.bytes}")


class _Columns:
    """A shard's table, its columns opened as views: an Arrow scalar would cost microseconds a value."""

    def __init__(self, table: pa.Table):
        self.table = table
        self.values, self.offsets = _list_views(table["input_ids"])
        self.span_values, self.span_offsets = _list_views(table["loss_spans"])
        self.key, self.task, self.caption, self.metadata = (_Texts(table[name]) for name in ("key", "task", "caption", "metadata"))

    @cached_property
    def images(self) -> tuple[memoryview, memoryview, memoryview, memoryview]:
        """Starts, heights and widths of all images, and the first image of each row."""
        column = self.table["images"]
        if column.num_chunks == 0:
            return (memoryview(b""),) * 4
        chunk = column.chunk(0)
        starts, heights, widths = (child.to_numpy(zero_copy_only=True).data for child in chunk.values.flatten())
        return starts, heights, widths, chunk.offsets.to_numpy(zero_copy_only=True).data


class _Texts:
    """A column of text by row; text that is no UTF-8 raises a ValueError."""

    def __init__(self, column: pa.ChunkedArray):
        chunk = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        _, offsets, data = chunk.buffers()
        self._bytes = memoryview(data) if data is not None else memoryview(b"")
        self._offsets = np.frombuffer(offsets, np.int32)[chunk.offset :].data if offsets is not None else memoryview(b"")

    def __getitem__(self, row: int) -> str:
        return str(self._bytes[self._offsets[row] : self._offsets[row + 1]], "utf-8")


def _list_views(column: pa.ChunkedArray) -> tuple[np.ndarray, memoryview]:
    """The flat values and the [rows + 1] offsets, which a view gives as plain numbers, of a list column of one chunk."""
    if column.num_chunks == 0:
        return np.empty(0, np.uint16), np.zeros(1, np.int32).data
    if column.num_chunks > 1:
        raise VerificationError(f"a token shard has one record batch, this one has {column.num_chunks}")
    chunk = column.chunk(0)
    return chunk.values.to_numpy(zero_copy_only=True), chunk.offsets.to_numpy(zero_copy_only=True).data
