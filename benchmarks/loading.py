"""How fast token samples are read in random order by one core: `python -m benchmarks.loading`.

    views          the ids of a sequence, a view of the mapped file                          TokenShards.input_ids
    packed rows    the same, copied one behind the other into rows of the window's length    what a trainer of ids alone would need
    samples        key, task, ids, spans, images, caption, metadata                          TokenShards.read
    batches        the trainer's: ids, targets, positions, masks' segments, weights          BatchMaker.make
    others         ids, loss spans and caption of the same samples in the field's formats    see benchmarks/loading_others.py

Samples are text to image with a caption. All ways read the same samples in the same order in one run, and all that a format gives back is
compared with what went in; only ratios are to be believed on a shared machine. Files lie in the page cache. webdataset has no random reads:
it streams its tar through a shuffle buffer. A format whose library is missing is "not installed":

    pip install mosaicml-streaming litdata datasets

in an environment of its own: together they want an older huggingface_hub than transformers 5.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.loading_others import FORMATS, Stored
from jobs.lm.batches import BatchMaker
from jobs.lm.plan import Plan
from pipeline.samples import TokenSequence
from pipeline.shards.reader import TokenShards
from tests.token_output import TEXT_TOKENIZER_PATH, text_to_image_sequence, write_output
from tokenizer.text import TextTokenizer

CAPTION = "a red circle above two blue squares on a wooden table in the light of the evening, seen from the side "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000, help="samples")
    parser.add_argument("--size", type=int, default=768, help="pixels a side")
    parser.add_argument("--window", type=int, default=24_576, help="tokens of a packed row")
    parser.add_argument("--rounds", type=int, default=3, help="times that each way is measured; the fastest counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="at least so long a measurement, in passes over the samples")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = make_sequences(args.count, args.size)
    order = np.random.default_rng(0).permutation(args.count).tolist()
    lengths = np.array([len(sequence.input_ids) for sequence in made])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_output(folder / "ours", made)
        window = max(args.window, int(lengths.max()))
        ways: dict[str, Callable[[], object]] = ours(TokenShards(str(folder / "ours")), order, lengths, window)
        missing = []
        for way, store in FORMATS.items():
            try:
                stored = store(folder / way.split()[0], [Stored.of(sequence) for sequence in made])
            except ModuleNotFoundError as error:
                missing.append((way, error.name))
                continue
            check(way, stored(range(args.count)), made)
            ways[way] = lambda stored=stored: drain(stored(order))
        rates = {way: args.count / seconds for way, seconds in measure(ways, args.rounds, args.seconds).items()}
    tokens = float(lengths.mean())
    print(f"{args.count} samples of {tokens:.0f} tokens on the average, rows of {window}, one thread\n")
    print("| way | samples/s | tokens/s | of pickles |")
    print("|---|---|---|---|")
    for way, rate in rates.items():
        print(f"| {way} | {rate:,.0f} | {rate * tokens:,.0f} | {rate / rates['pickles, one a sample']:.2f} |")
    for way, library in missing:
        print(f"| {way} | not installed: {library} | | |")


def make_sequences(count: int, size: int) -> list[TokenSequence]:
    text, rng = TextTokenizer(TEXT_TOKENIZER_PATH), np.random.default_rng(0)
    return [text_to_image_sequence(f"{n:09d}", CAPTION * (1 + n % 4), text, rng, height=size, width=size) for n in range(count)]


def ours(shards: TokenShards, order: Sequence[int], lengths: np.ndarray, window: int) -> dict[str, Callable[[], object]]:
    """Our own ways, each over all samples."""
    windows = [(0, packed) for packed in Plan(lengths, window, 1, 0).windows(0)]
    maker = BatchMaker(shards, np.arange(len(lengths)), window, context_drop=0.1, seed=0)
    row = np.zeros(window, shards.input_ids(0).dtype)

    def views() -> None:
        for number in order:
            shards.input_ids(number)

    def rows() -> None:
        for _, packed in windows:
            start = 0
            for number in packed:
                ids = shards.input_ids(int(number))
                stop = start + len(ids)
                row[start:stop] = ids
                start = stop
            row[start:] = 0

    def samples() -> None:
        for number in order:
            shards.read(number)

    def batches() -> None:
        for one in windows:
            maker.make([one])

    return {"ours: views": views, "ours: into packed rows": rows, "ours: whole samples": samples, "ours: training batches": batches}


def check(way: str, read: Sequence[np.ndarray], made: Sequence[TokenSequence]) -> None:
    """The format gave every sample back, in whatever order."""
    found = sorted(ids.tobytes() for ids in read)
    if found != sorted(sequence.input_ids.tobytes() for sequence in made):
        raise RuntimeError(f"{way}: what was read is not what was written")


def drain(read: Sequence[np.ndarray]) -> None:
    for _ in read:
        pass


def measure(ways: dict[str, Callable[[], object]], rounds: int, at_least: float) -> dict[str, float]:
    """Seconds of one pass, the fastest of the rounds; all ways in turn."""
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            started, passes = time.perf_counter(), 0
            while (taken := time.perf_counter() - started) < at_least or not passes:
                way()
                passes += 1
            taken = time.perf_counter() - started
            fastest[name] = min(fastest[name], taken / passes)
    return fastest


if __name__ == "__main__":
    main()
