"""Keep, or drop, the samples that a list names: a subset of DataComp, or what an earlier run has decided.

.txt        a key a line
.parquet    keys in a column, of the rows where another column has a value: `column`, `where`, `value`
.npy        DataComp's subsets: uids as pairs of uint64, each as 32 hexadecimal digits; they stand in the metadata, so `match = "uid"`
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.metadata import column as metadata_column
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class KeyList:
    """Keep a sample whose key is listed, or with `mode = "drop"` one whose key is not.

    The list is held as a sorted array, a key at the length of the longest: 90 MB for ten million keys of nine digits, on each worker.
    The score hangs on the list, as the list is what is measured: after a change of it, samples must be measured again.
    """

    scores: ClassVar[tuple[str, ...]] = ("key_listed",)
    needs: ClassVar[Needs] = Needs()
    measured_by: ClassVar[tuple[str, ...]] = ("file", "column", "where", "value", "match")

    file: str  # .txt, .parquet or .npy
    mode: Literal["keep", "drop"] = "keep"
    column: str = "key"  # of a parquet file
    where: str = ""  # of a parquet file: only rows whose column of this name ...
    value: str = "accepted"  # ... has this value count; "" for `where` takes all rows
    match: str = ""  # a name in the metadata that is compared in place of the sample's key

    def check(self) -> None:
        """
        Raises:
            RecipeError: No such file, it cannot be read as what its ending says, or it lists nothing.
        """
        if not len(self._keys()):
            raise RecipeError(f"key_list.file: {self.file} lists no keys")

    def fingerprint(self) -> str:
        """Of the list."""
        return hashlib.sha256(paths.read_bytes(self.file)).hexdigest()

    def setup(self) -> None:
        self._keys()

    def measure(self, samples: list[Sample]) -> list[Measured]:
        keys = self._keys()
        return [Measured({"key_listed": float(_is_in(keys, str(self._key(sample)).encode()))}) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        if self.mode == "keep":
            return "" if scores["key_listed"] else "key_not_listed"
        return "key_listed" if scores["key_listed"] else ""

    def _key(self, sample: Sample) -> object:
        return metadata_column(sample, self.match) if self.match else sample.key

    def _keys(self) -> np.ndarray:
        return _read(self.file, self.column, self.where, self.value)


def _is_in(keys: np.ndarray, key: bytes) -> bool:
    place = int(np.searchsorted(keys, np.array(key)))
    return place < len(keys) and keys[place] == key


@lru_cache(maxsize=8)  # a list is read once a process
def _read(file: str, column: str, where: str, value: str) -> np.ndarray:
    """[N] bytes, sorted."""
    data, ending = paths.read_bytes(file), file.rpartition(".")[2].lower()
    if ending == "txt":
        return np.sort(np.array([key for line in data.splitlines() if (key := line.strip())] or [], np.bytes_))
    if ending == "parquet":
        return np.sort(np.array([str(key).encode() for key in _from_table(data, file, column, where, value)], np.bytes_))
    if ending == "npy":
        return np.sort(np.array(_from_pairs(data, file), np.bytes_))
    raise RecipeError(f"key_list.file: {file} ends in none of .txt, .parquet, .npy")


def _from_table(data: bytes, file: str, column: str, where: str, value: str) -> list[object]:
    wanted = [column, where] if where else [column]
    try:
        known = pq.read_schema(io.BytesIO(data)).names
        for name in wanted:
            if name not in known:
                raise RecipeError(f"key_list: {file} has no column {name!r}; it has {', '.join(known)}")
        table = pq.read_table(io.BytesIO(data), columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise RecipeError(f"key_list.file: {file} is no parquet file: {error}") from error
    if where:
        table = table.filter(pc.equal(table[where].cast(pa.string()), value))
    keys: list[object] = table[column].drop_null().to_pylist()
    return keys


def _from_pairs(data: bytes, file: str) -> list[bytes]:
    try:
        pairs = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise RecipeError(f"key_list.file: {file} is no array of numpy: {error}") from error
    if pairs.dtype != np.dtype("u8,u8"):
        raise RecipeError(f"key_list.file: {file} holds {pairs.dtype}, where pairs of uint64 are wanted")
    return [f"{high:016x}{low:016x}".encode() for high, low in pairs.tolist()]
