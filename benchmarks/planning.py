"""How long an epoch takes to plan, and what it wastes: `python -m benchmarks.planning`.

Lengths are drawn as a fine-tuning mixture for 768 pixels has them: 60 % text to image, 20 % editing with two images, 10 % questions about
an image, 10 % text; aspect ratios are those of photographs, texts are log-normal. Every stage is what `mgpt train` does: the packing, the
deal, the file, what a second process needs to open it, a mixture that takes tasks in parts, and the split by key.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.lm.held_out import hash_strings
from jobs.lm.mixture import Mixture, Quota
from jobs.lm.plan import SAVED_FROM, Plan
from jobs.lm.plan_table import clustered_padding
from pipeline.buckets import choose_bucket, make_buckets
from tokenizer.layout import image_length

TASKS = ("text_to_image", "editing", "question", "text_only")
SHARES = (0.6, 0.2, 0.1, 0.1)
RATIOS = np.geomspace(1 / 4, 4, 400)  # width / height
KEYS_PER_SHARD = 100_000
BATCH_SIZE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--windows", type=int, nargs="+", default=[12288, 24576])
    options = parser.parse_args()
    print("| what | sequences | seconds | result |\n|---|---|---|---|")
    lengths, tasks = simulate(options.count, seed=0)
    for window in options.windows:
        plan_epoch(lengths, window)
    plan_mixture(lengths, tasks, options.windows[0])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    split_keys(options.count)
    print(f"\nmost memory before the keys: {memory:,.0f} MiB, the libraries and the simulated lengths included")


def plan_epoch(lengths: np.ndarray, window: int) -> None:
    """An epoch of everything, stage by stage; then opened by another plan."""
    count = len(lengths)
    with tempfile.TemporaryDirectory() as folder:
        plan = report(f"window {window}: lengths counted", count, lambda: Plan(lengths, window, BATCH_SIZE, 0, folder=folder))
        print(" |")
        packing = report(f"window {window}: packed", count, lambda: plan.packing(0))
        print(f"{packing.num_windows:,} windows, {packing.padding:.2%} padding |")
        report(f"window {window}: dealt out{' and saved' if count >= SAVED_FROM else ''}", count, lambda: plan.step(0))
        print(f"{BATCH_SIZE} windows a step |")
        report(f"window {window}: opened by another process", count, lambda: Plan(lengths, window, BATCH_SIZE, 0, folder=folder).step(0))
        print("the same |")
    wasted = report(
        f"tokens of {window} a batch, clustered by length", count, lambda: clustered_padding(counts_of(lengths), window, BATCH_SIZE, 0)
    )
    print(f"{wasted:.2%} padding |")


def plan_mixture(lengths: np.ndarray, tasks: np.ndarray, window: int) -> None:
    """Half a pass, one and a half, a tenth, and one: drawn and packed anew in each epoch."""
    amounts = (Fraction(1, 2), Fraction(3, 2), Fraction(1, 10), Fraction(1))
    counts = np.bincount(tasks, minlength=len(TASKS)).tolist()
    quotas = tuple(Quota(task, code, amount * counts[code]) for code, (task, amount) in enumerate(zip(TASKS, amounts, strict=True)))
    mixture = Mixture(lengths, tasks, quotas, False, 0)
    plan = Plan(lengths, window, BATCH_SIZE, 0, mixture=mixture)
    packing = report(f"window {window}: a mixture in parts, drawn and packed", len(lengths), lambda: plan.packing(2))
    print(f"{packing.num_windows:,} windows, {packing.padding:.2%} padding |")


def split_keys(count: int) -> None:
    """The hash of every key, shard by shard."""
    starts = range(0, count, KEYS_PER_SHARD)
    shards = [pa.chunked_array([[f"sample-{number:012}" for number in range(s, min(s + KEYS_PER_SHARD, count))]]) for s in starts]
    hashes = report("keys hashed, for samples held out", count, lambda: np.concatenate([hash_strings(column, 0) for column in shards]))
    print(f"{np.mean(hashes < np.uint64(1 << 63)):.2%} in the lower half |")


def report(what: str, count: int, work: Callable[[], Any]) -> Any:
    """Do something, and print a line of the table but for its last cell."""
    start = time.perf_counter()
    result = work()
    print(f"| {what} | {count:,} | {time.perf_counter() - start:.2f} | ", end="", flush=True)
    return result


def counts_of(lengths: np.ndarray) -> np.ndarray:
    return np.bincount(lengths)


def simulate(count: int, seed: int, target_size: int = 768) -> tuple[np.ndarray, np.ndarray]:
    """[N] uint32 lengths and [N] int16 tasks."""
    rng = np.random.default_rng(seed)
    buckets = make_buckets(target_size)
    chosen = [choose_bucket(round(target_size * ratio), target_size, buckets) for ratio in RATIOS]
    images = np.array([image_length(height, width) for width, height in chosen])
    lengths, tasks = np.empty(count, np.uint32), np.empty(count, np.int16)
    for start in range(0, count, KEYS_PER_SHARD):
        here = slice(start, min(start + KEYS_PER_SHARD, count))
        size = here.stop - start
        task = rng.choice(len(TASKS), size, p=SHARES)
        image = images[np.searchsorted(RATIOS, np.exp(rng.normal(0, 0.35, size)).clip(RATIOS[0], RATIOS[-1]))]
        words = [_words(rng, mean, spread, size) for mean, spread in ((140, 0.5), (140, 0.4), (200, 0.6), (450, 0.8))]
        lengths[here] = np.choose(task, [image + words[0], 2 * image + words[1], image + words[2], words[3]])
        tasks[here] = task
    return lengths, tasks


def _words(rng: np.random.Generator, mean: float, spread: float, size: int) -> np.ndarray:
    """Tokens of texts: log-normal."""
    return np.clip(np.exp(rng.normal(np.log(mean) - spread * spread / 2, spread, size)), 8, 2000).astype(np.int64)


if __name__ == "__main__":
    main()
