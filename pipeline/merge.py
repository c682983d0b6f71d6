"""From finished units to the output: the ledger's parts, the token shards, the index, and last the manifest.

Units are taken in their order, so the output does not depend on who did which unit when. One thing can only be known here, over
the whole run: a key that two units share. The later sample fails, for shards whose keys are not unique cannot be searched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.ledger import DISPOSITIONS, LEDGER_FOLDER, PART_NAME
from pipeline.run_view import number_values
from pipeline.shards.arrow_file import read_arrow, write_arrow
from pipeline.shards.manifest import FileEntry, Manifest, describe_file
from pipeline.shards.schema import INDEX, INDEX_SCHEMA, MANIFEST, SHARD_NAME, TEXT_TOKENIZER, TOKENS_FOLDER, index_rows, token_schema
from pipeline.unit_files import read_ledger, unit_files

LEDGER_PART_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Identity:
    """What the manifest says of the data beside its files."""

    token_dtype: str
    vocabulary: Mapping[str, object]
    vq: Mapping[str, object]
    recipe: str
    text_tokenizer: bytes  # the file itself, which travels with the shards


def merge_units(output: str, work_folder: str, units: Sequence[int], identity: Identity, shard_bytes: int) -> Manifest:
    """Write OUTPUT's ledger and token shards from its finished units, the manifest last.

    Args:
        units: Numbers of the units, all finished, in order.
        shard_bytes: A shard is closed once it holds this much.
    """
    marks = _find_repeats(work_folder, units)
    ledger, counts = _write_ledger(output, work_folder, units, marks)
    folder = paths.join(output, TOKENS_FOLDER)
    shards, index = _write_shards(folder, work_folder, units, marks, np.dtype(identity.token_dtype), shard_bytes)
    write_arrow(paths.join(folder, INDEX), index)
    paths.commit_bytes(paths.join(folder, TEXT_TOKENIZER), identity.text_tokenizer)
    manifest = Manifest(
        token_dtype=identity.token_dtype,
        vocabulary=identity.vocabulary,
        vq=identity.vq,
        recipe=identity.recipe,
        counts=counts,
        shards=shards,
        index=describe_file(paths.join(folder, INDEX), rows=index.num_rows),
        text_tokenizer=describe_file(paths.join(folder, TEXT_TOKENIZER)),
        ledger=ledger,
    )
    paths.commit_bytes(paths.join(folder, MANIFEST), manifest.dump())
    return manifest


Marks = dict[int, dict[int, tuple[str, str, str]]]  # unit -> ledger row -> disposition, stage, reason


def _find_repeats(work_folder: str, units: Sequence[int]) -> Marks:
    """Accepted rows whose key an earlier accepted row has, by unit and row."""
    tables = [_unit_ledger(work_folder, unit, ["key", "disposition"]) for unit in units]
    if not tables:
        return {}
    unit_of = np.repeat(np.array(units), [table.num_rows for table in tables])
    row_of = np.concatenate([np.arange(table.num_rows) for table in tables])
    table = pa.concat_tables(tables)
    marks: Marks = {}
    places, numbers = number_values(table["key"], pc.equal(table["disposition"], "accepted").to_numpy())
    for place in np.delete(places, np.unique(numbers, return_index=True)[1]):
        marks.setdefault(int(unit_of[place]), {})[int(row_of[place])] = ("failed", "merge", "duplicate_key")
    return marks


def _write_ledger(output: str, work_folder: str, units: Sequence[int], marks: Marks) -> tuple[tuple[FileEntry, ...], dict[str, int]]:
    entries: list[FileEntry] = []
    counts = dict.fromkeys(("input", *DISPOSITIONS), 0)
    held: list[pa.Table] = []

    def close() -> None:
        path = paths.join(output, LEDGER_FOLDER, PART_NAME.format(len(entries)))
        table = pa.concat_tables(held)
        paths.commit(path, lambda file: pq.write_table(table, file, compression="zstd"))
        entries.append(describe_file(path, rows=table.num_rows))
        held.clear()

    for unit in units:
        table = _marked(_unit_ledger(work_folder, unit), marks.get(unit, {}))
        counts["input"] += table.num_rows
        for name in DISPOSITIONS:
            counts[name] += pc.sum(pc.equal(table["disposition"], name)).as_py() or 0
        held.append(table)
        if sum(part.num_rows for part in held) >= LEDGER_PART_ROWS:
            close()
    if held:
        close()
    return tuple(entries), counts


def _marked(table: pa.Table, marks: Mapping[int, tuple[str, str, str]]) -> pa.Table:
    if not marks:
        return table
    changed = {name: table[name].to_pylist() for name in ("disposition", "stage", "reason", "tokens", "status", "error_message")}
    for row, (disposition, stage, reason) in marks.items():
        changed["disposition"][row], changed["stage"][row], changed["reason"][row], changed["tokens"][row] = disposition, stage, reason, 0
        if disposition == "failed":
            changed["status"][row] = f"failed_to_{stage}"
            changed["error_message"][row] = "an earlier sample of the run has the same key"
    for name, values in changed.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    return table


def _write_shards(
    folder: str, work_folder: str, units: Sequence[int], marks: Marks, dtype: np.dtype, shard_bytes: int
) -> tuple[tuple[FileEntry, ...], pa.Table]:
    entries: list[FileEntry] = []
    index: list[pa.Table] = []
    for number, table in enumerate(_gather(_kept_tables(work_folder, units, marks), shard_bytes)):
        path = paths.join(folder, SHARD_NAME.format(number))
        write_arrow(path, table)
        rows = index_rows(table, number)
        index.append(rows)
        tokens, loss_tokens = (pc.sum(rows[name]).as_py() or 0 for name in ("tokens", "loss_tokens"))
        entries.append(describe_file(path, table.num_rows, tokens, loss_tokens))
    if not entries:  # nothing was accepted: an empty shard still says what the columns are
        path = paths.join(folder, SHARD_NAME.format(0))
        write_arrow(path, token_schema(dtype).empty_table())
        entries.append(describe_file(path))
    whole = pa.concat_tables([INDEX_SCHEMA.empty_table(), *index]).unify_dictionaries()
    return tuple(entries), whole


def _kept_tables(work_folder: str, units: Sequence[int], marks: Marks) -> Iterator[pa.Table]:
    for unit in units:
        table = read_arrow(paths.join(work_folder, unit_files(unit).tokens))
        if unit in marks:
            gone = _unit_ledger(work_folder, unit, ["key"])["key"].take(pa.array(sorted(marks[unit])))
            table = table.filter(pc.invert(pc.is_in(table["key"], value_set=gone.combine_chunks())))
        yield table


def _gather(tables: Iterator[pa.Table], shard_bytes: int) -> Iterator[pa.Table]:
    """Join tables until they hold `shard_bytes`; a table is never divided."""
    held: list[pa.Table] = []
    for table in tables:
        if table.num_rows:
            held.append(table)
        if sum(part.nbytes for part in held) >= shard_bytes:
            yield pa.concat_tables(held).combine_chunks()
            held = []
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _unit_ledger(work_folder: str, unit: int, columns: list[str] | None = None) -> pa.Table:
    return read_ledger(work_folder, unit_files(unit).ledger, columns)
