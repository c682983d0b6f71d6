"""The report's head, the funnel and the fingerprints: what came in, what was left out where and why, and which files made it."""

from jobs.reporting.charts import Bar, bar_list
from jobs.reporting.page import section, text
from jobs.reporting.run_data import Reason, RunData
from pipeline.ledger import DISPOSITIONS

LEGEND = (
    '<i class="swatch"></i> goes on&ensp;<i class="swatch rejected"></i> rejected on purpose&ensp;'
    '<i class="swatch failed"></i> failed: it could not be used'
)


def head(data: RunData) -> str:
    """Title and totals."""
    tiles: list[tuple[str, str, str]] = []
    if data.shards is not None:
        manifest = data.shards.manifest
        counts, loss_tokens = manifest.counts, sum(shard.loss_tokens for shard in manifest.shards)
        size = sum(shard.bytes for shard in manifest.shards)
        total = max(counts["input"], 1)
        left_out = f"{counts['rejected']:,} rejected, {counts['failed']:,} failed"
        tiles += [
            ("samples in", f"{counts['input']:,}", ""),
            ("accepted", f"{counts['accepted']:,}", f"{counts['accepted'] / total:.1%}; {left_out}"),
            ("sequences", f"{manifest.num_sequences:,}", f"{manifest.num_tokens / max(manifest.num_sequences, 1):,.0f} tokens each"),
            ("tokens", f"{manifest.num_tokens:,}", f"{loss_tokens / max(manifest.num_tokens, 1):.1%} with loss"),
            ("shard bytes", f"{size:,}", f"{size / max(manifest.num_sequences, 1):,.0f} a sequence"),
        ]
    losses = [line for line in data.train_log if "loss" in line and "step" in line]
    if losses:
        tiles.append(("training", f"{losses[-1]['step']:,} steps", f"loss {losses[0]['loss']:.3g} to {losses[-1]['loss']:.3g}"))
    if data.samples:
        tiles.append(("pictures sampled", f"{len(data.samples):,}", ""))
    cells = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(more)}</small></dd></div>" for name, value, more in tiles)
    return f'<header><h1>{text(title(data))}</h1></header><dl class="tiles">{cells}</dl>'


def title(data: RunData) -> str:
    """The run's name: its folder."""
    return data.output.rstrip("/").rsplit("/", 1)[-1] or data.output


def funnel(data: RunData) -> str:
    """Stage by stage how many samples go on, and why the others do not."""
    if data.shards is None:
        return ""
    counts = data.shards.manifest.counts
    total = counts["input"]
    if not total:
        return ""
    bars = [Bar("input", f"{total:,}", [("", 1.0)])]
    left = total
    for stage in data.stages:
        reasons = {reason: count for reason, count in data.reasons.items() if reason.stage == stage}
        lost = {name: sum(count for reason, count in reasons.items() if reason.disposition == name) for name in DISPOSITIONS[1:]}
        left -= sum(lost.values())
        if not reasons and stage not in {table.get("name", table["kind"]) for table in data.recipe.get("filter", ())}:
            continue
        parts = [("", left / total)] + [(name, number / total) for name, number in lost.items()]
        value = f"{left:,}" + (f' <span class="soft">&minus;{sum(lost.values()):,}</span>' if reasons else "")
        bars.append(Bar(text(stage), value, parts, [_reason_line(data, reason, count) for reason, count in reasons.items()]))
    bars.append(Bar("<b>accepted</b>", f"<b>{counts['accepted']:,}</b>", [("", counts["accepted"] / total)]))
    return section("What became of the samples", bar_list(bars), LEGEND)


def about(data: RunData) -> str:
    """Which vocabulary, quantizer and recipe the tokens belong to."""
    if data.shards is None:
        return ""
    manifest = data.shards.manifest
    rows = {
        "recipe": manifest.recipe,
        "vocabulary": f"{manifest.vocabulary.get('size', 0):,} ids ({manifest.token_dtype}), {manifest.vocabulary.get('fingerprint', '')}",
        "VQ": ", ".join(f"{name} {value}" for name, value in manifest.vq.items() if value),
        "seed": str(data.seed),
    }
    body = "".join(f'<dt class="soft">{text(name)}</dt><dd class="key">{text(value)}</dd>' for name, value in rows.items())
    return section("Fingerprints", f'<dl class="about">{body}</dl>')


def _reason_line(data: RunData, reason: Reason, count: int) -> str:
    example = next((f', for example <code class="key">{text(row["key"])}</code>' for row in data.left_out.get(reason, ())), "")
    return f'<i class="swatch {text(reason.disposition)}"></i> {text(reason.reason)} {count:,}{example}'
