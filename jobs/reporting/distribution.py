"""The report's charts of the token shards: tasks, buckets and lengths, from the index alone."""

import numpy as np
import pyarrow as pa

from jobs.inspection.mixture import compare
from jobs.reporting.charts import Bar, bar_list, column_chart, nice_ticks
from jobs.reporting.page import section, text
from jobs.reporting.run_data import RunData

MAX_COLUMNS = 48  # of the histogram
MAX_BUCKETS = 30  # that get a row of their own
SHAPE_SIDE = 2.0  # rem, of the longer side of a bucket's little rectangle


def tasks(data: RunData) -> str:
    """The mixture that came out, beside the one that was asked for."""
    found = {name: {"sequences": sequences, "tokens": tokens, "loss_tokens": 0} for name, sequences, tokens in _grouped(data, "task")}
    if not found or "task" not in data.recipe:
        return ""
    mixture = compare(data.recipe, found)
    all_tokens = max(sum(task.tokens for task in mixture.tasks), 1)
    all_sequences = max(sum(task.sequences for task in mixture.tasks), 1)
    most = max(max(task.share, task.asked) for task in mixture.tasks)
    bars = []
    for task in mixture.tasks:
        detail = f"{task.sequences / all_sequences:.1%} of the sequences, {task.tokens / all_tokens:.1%} of the tokens"
        asked = f'{task.share:.1%} <span class="soft">of {task.asked:.1%} asked</span>'
        parts = [("", min(task.share, task.asked) / most)]
        parts.append(("", (task.share - task.asked) / most) if task.share >= task.asked else ("rejected", (task.asked - task.share) / most))
        bars.append(Bar(text(task.task), asked, parts, [f"{task.sequences:,} sequences: {detail}"]))
    note = (
        f"Shares of the {'tokens' if mixture.counted == 'tokens' else 'sequences'}; the largest difference to what the recipe asks for is "
    )
    note += f'{mixture.largest_difference:.2%}. <i class="swatch rejected"></i> lacks'
    return section("Tasks", bar_list(bars), note)


def buckets(data: RunData) -> str:
    """How many sequences have a picture of each size, with the sizes drawn in proportion."""
    groups = [group for group in _grouped(data, "bucket") if group[0]]
    if not groups:
        return ""
    most = groups[0][1]
    sizes = [tuple(map(int, name.split("x"))) for name, _, _ in groups]
    longest = max(side for size in sizes for side in size)
    bars = []
    for (name, sequences, _), (width, height) in list(zip(groups, sizes, strict=True))[:MAX_BUCKETS]:
        rem = SHAPE_SIDE / longest
        shape = f'<i class="shape" style="width:{width * rem:.2f}rem;height:{height * rem:.2f}rem"></i>'
        bars.append(Bar(f'<span class="shapebox">{shape}</span>{text(name)}', f"{sequences:,}", [("", sequences / most)]))
    without = _grouped(data, "bucket", only="")
    note = "Width x height in pixels of the last picture of each sequence."
    if len(groups) > MAX_BUCKETS:
        note += f" {sum(group[1] for group in groups[MAX_BUCKETS:]):,} more in {len(groups) - MAX_BUCKETS} other sizes."
    if without:
        note += f" {without[0][1]:,} sequences have none."
    return section("Picture sizes", bar_list(bars), note)


def lengths(data: RunData) -> str:
    """Histogram of the sequences' lengths in tokens."""
    if data.shards is None or not len(data.shards):
        return ""
    tokens = data.shards.index["tokens"].to_numpy()
    ticks = nice_ticks(float(tokens.min()), float(tokens.max() + 1), MAX_COLUMNS)
    edges = ticks if len(ticks) > 1 else [float(tokens.min()), float(tokens.max() + 1)]
    heights, _ = np.histogram(tokens, edges)
    note = f"Tokens a sequence: {tokens.min():,} to {tokens.max():,}, half of them at most {int(np.median(tokens)):,}."
    return section("Lengths", column_chart(heights.tolist(), edges), note)


def _grouped(data: RunData, column: str, only: str | None = None) -> list[tuple[str, int, int]]:
    """Name, sequences and tokens by a column of the index, the most frequent first."""
    if data.shards is None:
        return []
    index = data.shards.index
    plain = pa.table({"name": index[column].cast(pa.string()), "tokens": index["tokens"]})
    rows = plain.group_by("name").aggregate([([], "count_all"), ("tokens", "sum")]).to_pylist()
    groups = [(row["name"], row["count_all"], row["tokens_sum"]) for row in rows if only is None or row["name"] == only]
    return sorted(groups, key=lambda group: (-group[1], group[0]))
