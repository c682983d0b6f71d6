"""Between the two passes of a run: all scored units are decided together, and each gets its rows back.

The decisions are a function of the scores alone, so a run that was killed here decides the same again. Signatures, which are large, move to
OUTPUT/signatures, beside the ledger, with which they agree row by row: `mgpt refilter` compares samples with them.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.decisions import decide
from pipeline.ledger import COLUMNS
from pipeline.run_view import SIGNATURE, signature_column
from pipeline.stage import Step
from pipeline.unit_files import DRAWS, OFFERS, read_ledger, unit_files

SIGNATURES_FOLDER = "signatures"
IDLE = ("url", "caption", "captions", "exif", "sha256", "crop_box", "bucket")  # columns that no rule looks at
PART_NAME = "part-{:05d}.parquet"  # one a unit


Assign = Callable[[Sequence[str], np.ndarray], np.ndarray]  # keys [N], offers [N, T] uint32 -> [N, T] uint8


def decide_units(work_folder: str, units: Sequence[int], steps: Sequence[Step], score_rejected: bool, assign: Assign | None = None) -> int:
    """Write `decided` beside the `scores` of each unit; how many samples are kept.

    Args:
        assign: Of a planned run: what is to be made of the samples that are kept.
    """
    whole = pa.concat_tables([_read_decisive(work_folder, unit) for unit in units])
    decisions = decide(steps, whole, score_rejected)
    draws = _plan(whole, decisions.kept, assign) if assign else None
    start = 0
    for unit in units:
        table = read_ledger(work_folder, unit_files(unit).scores)
        table = table.drop_columns([name for name in table.column_names if name.startswith(SIGNATURE)])
        for name, values in decisions.columns.items():
            part = pa.array(values[start : start + table.num_rows], COLUMNS[name])
            table = table.set_column(table.schema.get_field_index(name), name, part)
        if draws is not None:
            table = table.append_column(DRAWS, _as_binary(draws[start : start + table.num_rows]))
        start += table.num_rows
        paths.commit(paths.join(work_folder, unit_files(unit).decided), partial(pq.write_table, table, compression="zstd"))
    return int(decisions.kept.sum())


def _read_decisive(work_folder: str, unit: int) -> pa.Table:
    """A unit's rows without what nothing is decided by: of ten million, captions and addresses alone take several GB."""
    fs, path = paths.open_fs(paths.join(work_folder, unit_files(unit).scores))
    with fs.open(path, "rb") as file:
        table = pq.ParquetFile(file)
        return table.read([name for name in table.schema_arrow.names if name not in IDLE])


def _plan(whole: pa.Table, kept_N: np.ndarray, assign: Assign) -> np.ndarray:
    """[N, T] uint8: what is to be made of each sample; nothing of those that are not kept."""
    rows = np.flatnonzero(kept_N)
    if not len(rows):
        return np.zeros((whole.num_rows, 1), np.uint8)
    keys, column = (whole[name].take(pa.array(rows)).combine_chunks() for name in ("key", signature_column(OFFERS)))
    offers = np.frombuffer(b"".join(memoryview(value.as_buffer()) for value in column), np.uint32).reshape(len(rows), -1)
    draws = np.zeros((whole.num_rows, offers.shape[1]), np.uint8)
    draws[rows] = assign(keys.to_pylist(), offers)
    return draws


def _as_binary(rows_NT: np.ndarray) -> pa.Array:
    """Each row's bytes."""
    num_rows, num_bytes = rows_NT.shape
    return pa.Array.from_buffers(pa.binary(num_bytes), num_rows, [None, pa.py_buffer(rows_NT.tobytes())])


def write_signatures(output: str, work_folder: str, units: Sequence[int], signers: Sequence[str]) -> None:
    """Keep what the rules `signers` compared, beside the ledger."""
    for number, unit in enumerate(units):
        table = read_ledger(work_folder, unit_files(unit).scores, ["key", *map(signature_column, signers)])
        path = paths.join(output, SIGNATURES_FOLDER, PART_NAME.format(number))
        paths.commit(path, partial(pq.write_table, table, compression="zstd"))
