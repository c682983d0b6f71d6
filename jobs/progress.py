"""What a run says while it works, and the funnel at its end."""

import sys
import time
from collections.abc import Iterable
from types import TracebackType

import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from jobs.inspection.mixture import mixture_lines, read_mixture
from jobs.reporting.run_data import read_ledger_column
from pipeline import paths
from pipeline.ledger import DISPOSITIONS, LEDGER_FOLDER
from pipeline.shards.manifest import find_tokens_folder, load_manifest
from pipeline.unit_files import Pass, UnitReport
from tokenizer.finisher import TOO_LONG_TASKS

SECONDS_BETWEEN_LINES = 10.0  # where there is no terminal
WAITING_SHARE = 0.5  # of the workers' time: above it the encoder is what holds the run back


class Progress:
    """A bar over units on a terminal, plain lines elsewhere, and a line of rates at the end.

    Args:
        part: The pass that is reported.
        num_units: Of the whole run.
        done: Reports of units that an earlier run finished.
    """

    def __init__(self, part: Pass, num_units: int, done: Iterable[UnitReport]):
        self._started = self._last_line = time.monotonic()
        self._done = list(done)
        self._reports: list[UnitReport] = []
        self._num_units = num_units
        self._part = part
        self._bar = tqdm(total=num_units, initial=len(self._done), unit="unit", disable=not sys.stderr.isatty())

    def __enter__(self) -> "Progress":
        if self._done:
            print(f"{len(self._done)} of {self._num_units} units were done before")
        return self

    def add(self, report: UnitReport) -> None:
        """A unit is committed."""
        self._reports.append(report)
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"{len(self._done) + len(self._reports)} of {self._num_units} units, {self._rates()}", flush=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()
        if kind is None and self._reports:
            print(self._rates())
            if self._part != "score":
                print(self._bottleneck())

    def _rates(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        samples = sum(report.counts["input"] for report in self._reports)
        pictures = sum(report.num_pictures for report in self._reports)
        tokens = sum(report.tokens for report in self._reports)
        if self._part == "score":
            return f"scored {samples / seconds:.1f} samples/s over {seconds:.0f} s"
        return (
            f"{samples / seconds:.1f} samples/s, {pictures / seconds:.1f} images/s, {tokens / seconds:,.0f} tokens/s over {seconds:.0f} s"
        )

    def _bottleneck(self) -> str:
        total = sum(report.seconds["total"] for report in self._reports)
        share = sum(report.seconds["encode"] for report in self._reports) / max(total, 1e-9)
        slow = "the VQ encoder" if share > WAITING_SHARE else "reading, filtering and decoding"
        return f"workers waited for the encoder {share:.0%} of their time: {slow} holds the run back"


def print_funnel(output: str) -> None:
    """How many samples came in, what became of them and why, and what the shards hold."""
    manifest = load_manifest(find_tokens_folder(output))
    counts = manifest.counts
    print(f"{counts['input']} samples: " + ", ".join(f"{counts[name]} {name}" for name in DISPOSITIONS))
    for (disposition, stage, reason), count in count_reasons(output).items():
        print(f"  {count:>8} {disposition} by {stage}: {reason}")
    if too_long := count_too_long(output):
        print(f"  {too_long:>8} sequences over tokens.max_tokens were left out, of samples that feed other tasks")
    size = sum(shard.bytes for shard in manifest.shards)
    mixture = read_mixture(output)
    if mixture is not None and len(mixture.tasks) > 1:
        print("\n".join(mixture_lines(mixture)))
    print(f"{manifest.num_sequences} sequences, {manifest.num_tokens:,} tokens, {size:,} bytes in {len(manifest.shards)} shards")


def count_reasons(output: str) -> dict[tuple[str, str, str], int]:
    """Samples left out, by (disposition, stage, reason), the most frequent first."""
    counts: dict[tuple[str, str, str], int] = {}
    folder = paths.join(output, LEDGER_FOLDER)
    for name in paths.list_files(folder):
        fs, bare = paths.open_fs(paths.join(folder, name))
        with fs.open(bare, "rb") as file:
            table = pq.read_table(file, columns=["disposition", "stage", "reason"])
        table = table.filter(pc.not_equal(table["disposition"], "accepted"))
        grouped = table.group_by(["disposition", "stage", "reason"]).aggregate([([], "count_all")])
        for row in grouped.to_pylist():
            place = (row["disposition"], row["stage"], row["reason"])
            counts[place] = counts.get(place, 0) + row["count_all"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def count_too_long(output: str) -> int:
    """Sequences over the limit of samples that were accepted for their others."""
    column = read_ledger_column(output, TOO_LONG_TASKS)
    return 0 if column is None else int(pc.sum(column).as_py() or 0)
