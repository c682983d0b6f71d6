"""`mgpt inspect info`: what a folder of token shards holds, from its manifest and its index."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shards.reader import TokenShards


def collect_info(path: str) -> dict[str, Any]:
    """Totals, tasks, buckets and fingerprints of an OUTPUT, or of its `tokens` folder."""
    shards = TokenShards(path)
    manifest = shards.manifest
    loss_tokens = sum(shard.loss_tokens for shard in manifest.shards)
    num_bytes = sum(shard.bytes for shard in manifest.shards)
    num_sequences = manifest.num_sequences
    lengths = shards.index["tokens"]
    return {
        "folder": shards.folder,
        "sequences": num_sequences,
        "shards": len(manifest.shards),
        "tokens": manifest.num_tokens,
        "loss_tokens": loss_tokens,
        "loss_share": loss_tokens / max(manifest.num_tokens, 1),
        "shortest_sequence": pc.min(lengths).as_py(),  # tokens; null where there is none
        "longest_sequence": pc.max(lengths).as_py(),
        "bytes": num_bytes,
        "bytes_a_sequence": num_bytes / max(num_sequences, 1),
        "format_version": manifest.format_version,
        "token_dtype": manifest.token_dtype,
        "vocabulary": dict(manifest.vocabulary),
        "vq": dict(manifest.vq),
        "recipe": manifest.recipe,
        "samples": dict(manifest.counts),
        "tasks": _by(shards.index, "task"),
        "buckets": _by(shards.index, "bucket"),
    }


def print_info(path: str, as_json: bool) -> None:
    """The totals, for people or for machines."""
    info = collect_info(path)
    if as_json:
        print(json.dumps(info, indent=1, ensure_ascii=False))
        return
    samples, vocabulary, vq = info["samples"], info["vocabulary"], info["vq"]
    left_out = ", ".join(f"{samples.get(name, 0):,} {name}" for name in ("accepted", "rejected", "failed"))
    shards = f"{info['shards']} shard{'s' * (info['shards'] != 1)}"
    lines = {
        "samples": f"{samples.get('input', 0):,} in: {left_out}",
        "sequences": f"{info['sequences']:,} in {shards}, {info['shortest_sequence']} to {info['longest_sequence']} tokens",
        "tokens": f"{info['tokens']:,}, of them {info['loss_tokens']:,} with loss ({info['loss_share']:.1%})",
        "bytes": f"{info['bytes']:,}, {info['bytes_a_sequence']:,.0f} a sequence",
        "ids": f"{info['token_dtype']}, vocabulary of {vocabulary.get('size', 0):,}, format {info['format_version']}",
        "vocabulary": str(vocabulary.get("fingerprint", "")),
        "vq": f"{vq.get('fingerprint', '')} "
        + ", ".join(f"{name} {value}" for name, value in vq.items() if value and name != "fingerprint"),
        "recipe": info["recipe"],
    }
    print(info["folder"])
    for name, text in lines.items():
        print(f"  {name:<11} {text}")
    for title, groups in (("task", info["tasks"]), ("bucket", info["buckets"])):
        print(f"  {title:<20} {'sequences':>10} {'tokens':>14} {'with loss':>14}")
        for name, group in groups.items():
            print(f"    {name or 'none':<18} {group['sequences']:>10,} {group['tokens']:>14,} {group['loss_tokens']:>14,}")


def by_task(shards: TokenShards) -> dict[str, dict[str, int]]:
    """Sequences, tokens and loss tokens of each task, the most frequent first."""
    return _by(shards.index, "task")


def _by(index: pa.Table, column: str) -> dict[str, dict[str, int]]:
    """Sequences, tokens and loss tokens by what a column of the index says, the most frequent first."""
    plain = pa.table({"name": index[column].cast(pa.string()), "tokens": index["tokens"], "loss_tokens": index["loss_tokens"]})
    grouped = plain.group_by("name").aggregate([([], "count_all"), ("tokens", "sum"), ("loss_tokens", "sum")])
    rows = sorted(grouped.to_pylist(), key=lambda row: (-row["count_all"], row["name"]))
    return {
        row["name"]: {"sequences": row["count_all"], "tokens": row["tokens_sum"], "loss_tokens": row["loss_tokens_sum"]} for row in rows
    }
