"""Between the two passes of a run: all scored units are decided together, and each gets its rows back.

The decisions are a function of the scores alone, so a run that was killed here decides the same again. Signatures, which are large, move to
OUTPUT/signatures, beside the ledger, with which they agree row by row: `mgpt refilter` compares samples with them.
"""

from collections.abc import Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.decisions import decide
from pipeline.ledger import COLUMNS
from pipeline.run_view import SIGNATURE, signature_column
from pipeline.stage import Step
from pipeline.unit_files import read_ledger, unit_files

SIGNATURES_FOLDER = "signatures"
PART_NAME = "part-{:05d}.parquet"  # one a unit


def decide_units(work_folder: str, units: Sequence[int], steps: Sequence[Step], score_rejected: bool) -> int:
    """Write `decided` beside the `scores` of each unit; how many samples are kept."""
    tables = [read_ledger(work_folder, unit_files(unit).scores) for unit in units]
    whole = pa.concat_tables(tables)
    decisions = decide(steps, whole, score_rejected)
    start = 0
    for unit, table in zip(units, tables, strict=True):
        table = table.drop_columns([name for name in table.column_names if name.startswith(SIGNATURE)])
        for name, values in decisions.columns.items():
            part = pa.array(values[start : start + table.num_rows], COLUMNS[name])
            table = table.set_column(table.schema.get_field_index(name), name, part)
        start += table.num_rows
        paths.commit(paths.join(work_folder, unit_files(unit).decided), partial(pq.write_table, table, compression="zstd"))
    return int(decisions.kept.sum())


def write_signatures(output: str, work_folder: str, units: Sequence[int], signers: Sequence[str]) -> None:
    """Keep what the rules `signers` compared, beside the ledger."""
    for number, unit in enumerate(units):
        table = read_ledger(work_folder, unit_files(unit).scores, ["key", *map(signature_column, signers)])
        path = paths.join(output, SIGNATURES_FOLDER, PART_NAME.format(number))
        paths.commit(path, partial(pq.write_table, table, compression="zstd"))
