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
PART_NAME = "part-{:05d}.parquet"  # one a unit


Assign = Callable[[Sequence[str], np.ndarray], np.ndarray]  # keys [N], offers [N, T] uint32 -> [N, T] uint8


def decide_units(work_folder: str, units: Sequence[int], steps: Sequence[Step], score_rejected: bool, assign: Assign | None = None) -> int:
    """Write `decided` beside the `scores` of each unit; how many samples are kept.

    Args:
        assign: Of a planned run: what is to be made of the samples that are kept.
    """
    tables = [read_ledger(work_folder, unit_files(unit).scores) for unit in units]
    whole = pa.concat_tables(tables)
    decisions = decide(steps, whole, score_rejected)
    draws = _plan(whole, decisions.kept, assign) if assign else None
    start = 0
    for unit, table in zip(units, tables, strict=True):
        table = table.drop_columns([name for name in table.column_names if name.startswith(SIGNATURE)])
        for name, values in decisions.columns.items():
            part = pa.array(values[start : start + table.num_rows], COLUMNS[name])
            table = table.set_column(table.schema.get_field_index(name), name, part)
        if draws is not None:
            table = table.append_column(DRAWS, pa.array(draws[start : start + table.num_rows], pa.binary()))
        start += table.num_rows
        paths.commit(paths.join(work_folder, unit_files(unit).decided), partial(pq.write_table, table, compression="zstd"))
    return int(decisions.kept.sum())


def _plan(whole: pa.Table, kept_N: np.ndarray, assign: Assign) -> list[bytes | None]:
    """What is to be made of each sample; None of those that are not kept."""
    rows = np.flatnonzero(kept_N)
    planned: list[bytes | None] = [None] * whole.num_rows
    if not len(rows):
        return planned
    some = whole.select(["key", signature_column(OFFERS)]).take(pa.array(rows))
    offers = np.stack([np.frombuffer(row, np.uint32) for row in some[1].to_pylist()])
    for row, draws in zip(rows.tolist(), assign(some["key"].to_pylist(), offers), strict=True):
        planned[row] = draws.tobytes()
    return planned


def write_signatures(output: str, work_folder: str, units: Sequence[int], signers: Sequence[str]) -> None:
    """Keep what the rules `signers` compared, beside the ledger."""
    for number, unit in enumerate(units):
        table = read_ledger(work_folder, unit_files(unit).scores, ["key", *map(signature_column, signers)])
        path = paths.join(output, SIGNATURES_FOLDER, PART_NAME.format(number))
        paths.commit(path, partial(pq.write_table, table, compression="zstd"))
