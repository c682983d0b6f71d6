"""`mgpt inspect verify`: accepted + rejected + failed = input, every file holds, and ledger and shards tell the same story."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from jobs.inspection.findings import Findings
from jobs.inspection.flat import check_table
from jobs.inspection.ledger_rows import ledger_folder, read_part
from pipeline import paths
from pipeline.ledger import DISPOSITIONS
from pipeline.shards.manifest import FileEntry, Manifest, find_tokens_folder, load_manifest
from pipeline.shards.reader import TokenShards
from pipeline.shards.schema import MANIFEST


def print_verify(path: str) -> bool:
    """Verify an OUTPUT, or its `tokens` folder, and say so; whether all is well.

    Raises:
        RecipeError: There are no token shards.
        VerificationError: The manifest is damaged, or a file whose hash holds cannot be read.
    """
    folder = find_tokens_folder(path)
    manifest = load_manifest(folder)
    findings = Findings()
    _check_files(folder, manifest, findings)
    if findings.total:
        print(f"{folder}: {findings.total} files do not hold; nothing is summed up before they do")
        findings.print_all()
        return False
    counts = _check_sums(folder, manifest, findings)
    proof = " + ".join(f"{counts[name]} {name}" for name in DISPOSITIONS) + f" = {counts['input']} input"
    num_files = len(manifest.shards) + len(manifest.ledger) + 2
    sizes = f"{num_files} files hold, {manifest.num_sequences:,} sequences, {manifest.num_tokens:,} tokens"
    print(f"{folder}: {proof}; {sizes}" if not findings.total else f"{folder}: {findings.total} contradictions between ledger and shards")
    findings.print_all()
    return not findings.total


def check_file(path: str, entry: FileEntry) -> str:
    """What is wrong with a file that the manifest lists; "" where it holds."""
    if not paths.exists(path):
        return "missing"
    if (size := paths.size(path)) != entry.bytes:
        return f"{size} bytes, the manifest states {entry.bytes}"
    if (digest := paths.sha256(path)) != entry.sha256:
        return f"sha256 {digest}, the manifest states {entry.sha256}"
    return ""


def _check_files(folder: str, manifest: Manifest, findings: Findings) -> None:
    """Bytes and sha256 of every file that the manifest lists, and what lies there unlisted."""
    tokens = (*manifest.shards, manifest.index, manifest.text_tokenizer)
    for place, entries in ((folder, tokens), (ledger_folder(folder), manifest.ledger)):
        for entry in entries:
            if problem := check_file(paths.join(place, entry.name), entry):
                findings.add(entry.name, problem)
        listed = {entry.name for entry in entries} | {MANIFEST}
        findings.warnings += [f"{paths.join(place, name)} is not in the manifest" for name in paths.list_files(place) if name not in listed]


def _check_sums(folder: str, manifest: Manifest, findings: Findings) -> Mapping[str, int]:
    """Ledger against manifest, and ledger against shards, sample by sample; the counts of the ledger."""
    parts = []
    for entry in manifest.ledger:
        part = read_part(paths.join(ledger_folder(folder), entry.name), ["key", "disposition", "tokens"])
        if part.num_rows != entry.rows:
            findings.add(entry.name, f"{part.num_rows} rows, the manifest states {entry.rows}")
        parts.append(part)
    empty = pa.table({"key": pa.array([], pa.string()), "disposition": pa.array([], pa.string()), "tokens": pa.array([], pa.int64())})
    ledger = pa.concat_tables([empty, *parts])
    counts = {"input": ledger.num_rows} | {name: pc.sum(pc.equal(ledger["disposition"], name)).as_py() or 0 for name in DISPOSITIONS}
    for name, count in counts.items():
        if manifest.counts.get(name) != count:
            findings.add("manifest.json", f"states {manifest.counts.get(name)} {name}, the ledger has {count}")
    if (lost := counts["input"] - sum(counts[name] for name in DISPOSITIONS)) > 0:
        findings.add("ledger", f"{lost} rows are none of {', '.join(DISPOSITIONS)}")
    _check_samples(ledger, _sum_of_shards(folder, findings), findings)
    return counts


def _sum_of_shards(folder: str, findings: Findings) -> pa.Table:
    """key and tokens over all sequences of it."""
    shards = TokenShards(folder)
    tables = []
    for entry in shards.manifest.shards:
        table = shards.shard_table(entry.name)
        check_table(table, entry.name)
        lengths = pc.cast(pc.list_value_length(table["input_ids"]), pa.int64())
        total = pc.sum(lengths).as_py() or 0
        if (table.num_rows, total) != (entry.rows, entry.tokens):
            stated = f"the manifest states {entry.rows} and {entry.tokens}"
            findings.add(entry.name, f"{table.num_rows} sequences, {total} tokens; {stated}")
        tables.append(pa.table({"key": table["key"], "stored": lengths}))
    return pa.concat_tables(tables).group_by("key").aggregate([("stored", "sum")])


def _check_samples(ledger: pa.Table, stored: pa.Table, findings: Findings) -> None:
    """Every accepted sample has its tokens in the shards, as many as the ledger says, and nobody else has any."""
    accepted = ledger.filter(pc.equal(ledger["disposition"], "accepted")).group_by("key").aggregate([("tokens", "sum"), ([], "count_all")])
    for row in accepted.filter(pc.greater(accepted["count_all"], 1)).to_pylist():
        findings.add(row["key"], f"the ledger accepts it {row['count_all']} times")
    joined = accepted.join(stored, "key", join_type="full outer")
    differ = pc.fill_null(pc.not_equal(joined["tokens_sum"], joined["stored_sum"]), True)
    for row in joined.filter(differ).sort_by("key").to_pylist():
        if row["stored_sum"] is None:
            findings.add(row["key"], "accepted, but no shard holds a sequence of it")
        elif row["tokens_sum"] is None:
            findings.add(row["key"], "a shard holds its sequences, but the ledger does not accept it")
        else:
            findings.add(row["key"], f"the ledger says {row['tokens_sum']} tokens, the shards hold {row['stored_sum']}")
