"""`mgpt inspect lint`: the grammar of every sequence, and whether index, manifest and shards say the same."""

import json
import zlib
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.inspection.findings import Findings
from jobs.inspection.flat import check_table, cut_rows, open_flat
from jobs.inspection.verify import check_file
from pipeline import paths
from pipeline.errors import RecipeError, VerificationError
from pipeline.ledger import DISPOSITIONS
from pipeline.samples import ImageSpan
from pipeline.shards.manifest import FileEntry
from pipeline.shards.reader import TokenShards
from tokenizer.grammar import check_sequence
from tokenizer.grammar_scan import FlatSequences, find_suspects
from tokenizer.vocab import Vocab, load_vocab

TOKENS_A_STEP = 4_000_000  # looked at together: they stay near the processor


@dataclass
class Lint:
    """A folder of token shards under inspection."""

    shards: TokenShards
    vocab: Vocab
    findings: Findings = field(default_factory=Findings)
    identities: list[pa.Table] = field(default_factory=list)  # key, task, repeat of each shard
    tokens_a_step: int = TOKENS_A_STEP

    def run(self) -> None:
        """Look at everything."""
        self._check_manifest()
        index = self.shards.index
        check_table(index.combine_chunks(), "index.arrow")
        first = 0
        for number, entry in enumerate(self.shards.manifest.shards):
            table = self.shards.shard_table(entry.name)
            flat = open_flat(table, entry.name)
            self._check_totals(entry, flat)
            self._check_index(index.slice(first, entry.rows), table, flat, number)
            self._check_rows(table, flat)
            self.identities.append(self._identify(table))
            first += entry.rows
        self._check_repeats()

    def _check_manifest(self) -> None:
        manifest, vocab = self.shards.manifest, self.vocab
        stated, found = manifest.vocabulary.get("fingerprint"), vocab.fingerprint
        if stated != found:
            self.findings.add("manifest.json", f"the vocabulary's fingerprint is {stated}, text_tokenizer.json has {found}")
        if manifest.token_dtype != vocab.dtype.name:
            self.findings.add("manifest.json", f"ids are {manifest.token_dtype}, a vocabulary of {vocab.size} takes {vocab.dtype.name}")
        counts = manifest.counts
        if sum(counts.get(name, 0) for name in DISPOSITIONS) != counts.get("input"):
            self.findings.add("manifest.json", f"{dict(counts)} does not add up")

        for entry in (*manifest.shards, manifest.index, manifest.text_tokenizer):
            if problem := check_file(paths.join(self.shards.folder, entry.name), entry):
                self.findings.add(entry.name, problem)

    def _check_totals(self, entry: FileEntry, flat: FlatSequences) -> None:
        found = {
            "rows": len(flat.offsets) - 1,
            "tokens": int(flat.offsets[-1] - flat.offsets[0]),
            "loss_tokens": int(_loss_tokens(flat).sum()),
        }
        for name, number in found.items():
            if getattr(entry, name) != number:
                self.findings.add(entry.name, f"the manifest states {getattr(entry, name)} {name}, it has {number}")

    def _check_index(self, index: pa.Table, table: pa.Table, flat: FlatSequences, number: int) -> None:
        if index.num_rows != table.num_rows:
            return  # the manifest's rows are wrong, which is a finding already
        wanted = {
            "shard": np.full(table.num_rows, number),
            "row": np.arange(table.num_rows),
            "tokens": np.diff(flat.offsets),
            "loss_tokens": _loss_tokens(flat),
            "task": table["task"].to_numpy(),
            "bucket": _buckets(flat),
        }
        for name, values in wanted.items():
            column = index[name]
            stored = (column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column).to_numpy()
            for row in np.flatnonzero(stored != values).tolist():
                self.findings.add(_name(table, row), f"the index says {name} {stored[row]}, the shard {values[row]}")

    def _check_rows(self, table: pa.Table, flat: FlatSequences) -> None:
        rows = len(flat.offsets) - 1
        suspects = np.zeros(rows, bool)
        start = 0
        while start < rows:
            stop = max(start + 1, int(np.searchsorted(flat.offsets, int(flat.offsets[start]) + self.tokens_a_step, side="right")) - 1)
            suspects[start:stop] = find_suspects(cut_rows(flat, start, stop), self.vocab)
            start = stop
        for row in np.flatnonzero(suspects).tolist():
            for problem in describe_row(flat, row, self.vocab):
                self.findings.add(_name(table, row), problem)
        for row in np.flatnonzero(table["crc32"].to_numpy() != _crcs(flat)).tolist():
            self.findings.add(_name(table, row), "the CRC of its ids is not the one stored")

    def _identify(self, table: pa.Table) -> pa.Table:
        """What tells sequences apart: a sample makes several of one task only as numbered repeats."""
        repeats = np.zeros(table.num_rows, np.int64)
        for row, text in enumerate(table["metadata"].to_pylist()):
            if not text:
                continue
            try:
                metadata = json.loads(text)
            except ValueError as error:
                self.findings.add(_name(table, row), f"its metadata is no JSON ({error})")
                continue
            if not isinstance(metadata, dict):
                self.findings.add(_name(table, row), "its metadata is no JSON object")
            elif isinstance(repeat := metadata.get("repeat", 0), int):
                repeats[row] = repeat
        return pa.table({"key": table["key"], "task": table["task"], "repeat": repeats})

    def _check_repeats(self) -> None:
        grouped = pa.concat_tables(self.identities).group_by(["key", "task", "repeat"]).aggregate([([], "count_all")])
        for row in grouped.filter(pc.greater(grouped["count_all"], 1)).to_pylist():
            self.findings.add(row["key"], f"{row['count_all']} sequences of task {row['task']} have this key and repeat {row['repeat']}")


def lint(path: str) -> Lint:
    """Look at every sequence of an OUTPUT, or of its `tokens` folder.

    Raises:
        RecipeError: There are no token shards.
        VerificationError: A file is missing or cannot be read at all.
    """
    shards = TokenShards(path)
    try:
        vocab = load_vocab(shards.text_tokenizer)
    except RecipeError as error:
        raise VerificationError(str(error)) from error
    linted = Lint(shards, vocab)
    linted.run()
    return linted


def print_lint(path: str) -> bool:
    """Lint and say so; whether all is well."""
    linted = lint(path)
    manifest, counts, total = linted.shards.manifest, linted.shards.manifest.counts, linted.findings.total
    proof = " + ".join(f"{counts.get(name, 0)} {name}" for name in DISPOSITIONS) + f" = {counts.get('input', 0)} input"
    num_shards = len(manifest.shards)
    size = f"{manifest.num_sequences:,} sequences, {manifest.num_tokens:,} tokens in {num_shards} shard{'s' * (num_shards != 1)}"
    verdict = f"{total} problem{'s' * (total != 1)}" if total else "every sequence keeps the grammar"
    print(f"{linted.shards.folder}: {size}; {proof}; {verdict}")
    linted.findings.print_all()
    return not total


def describe_row(flat: FlatSequences, row: int, vocab: Vocab) -> list[str]:
    """What breaks the grammar in a row, in words."""

    def cut(values: np.ndarray, offsets: np.ndarray) -> list[int]:
        return values[offsets[row] : offsets[row + 1]].tolist()

    ids = flat.ids[flat.offsets[row] : flat.offsets[row + 1]]
    edges = cut(flat.spans, flat.span_offsets)
    parts = [cut(values, flat.image_offsets) for values in (flat.image_starts, flat.image_heights, flat.image_widths)]
    if len(edges) % 2:
        return [f"{len(edges)} edges of loss spans, they come in pairs"]
    return check_sequence(
        ids, list(zip(edges[::2], edges[1::2], strict=True)), [ImageSpan(*image) for image in zip(*parts, strict=True)], vocab
    )


def _loss_tokens(flat: FlatSequences) -> np.ndarray:
    """[N] tokens that take loss, by the stored spans."""
    signs = np.where((np.arange(len(flat.spans)) - np.repeat(flat.span_offsets[:-1], np.diff(flat.span_offsets))) % 2, 1, -1)
    sums = np.concatenate([[0], np.cumsum(signs * flat.spans.astype(np.int64))])
    return sums[flat.span_offsets[1:]] - sums[flat.span_offsets[:-1]]


def _buckets(flat: FlatSequences) -> np.ndarray:
    """[N] "WxH" of the last image of each sequence, "" without one."""
    counts = np.diff(flat.image_offsets)
    last = flat.image_offsets[1:][counts > 0] - 1
    sizes, which = np.unique(np.stack([flat.image_widths[last], flat.image_heights[last]]), axis=1, return_inverse=True)
    buckets = np.full(len(counts), "", object)
    buckets[counts > 0] = np.array([f"{width}x{height}" for width, height in sizes.T.tolist()], object)[which.reshape(-1)]
    return buckets


def _crcs(flat: FlatSequences) -> np.ndarray:
    """[N] CRC-32 of the bytes of each sequence's ids."""
    data = memoryview(flat.ids.view(np.uint8))
    edges = (flat.offsets.astype(np.int64) * flat.ids.itemsize).tolist()
    return np.array([zlib.crc32(data[start:stop]) for start, stop in pairwise(edges)], np.uint32)


def _name(table: pa.Table, row: int) -> str:
    return f"{table['key'][row].as_py()} ({table['task'][row].as_py()})"
