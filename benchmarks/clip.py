"""How fast pictures and captions pass CLIP: `python -m benchmarks.clip`.

Three ways over the same samples, in turn in one run, so that only the ratios are to be believed on a shared machine:

    naive       open_clip as its README has it: decode, prepare and encode one picture after the other, all threads on it
    batched     the same with pictures in batches, all threads on a batch
    stage       the CLIP stage as `mgpt prepare` runs it: a picture a thread, each by itself

Weights are random: the arithmetic is the same.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch

from benchmarks.encode import seconds_of
from filters.clip import ClipModel, LoadedClip
from filters.clip_stage import ClipStage
from pipeline.images import decode_rgb
from pipeline.samples import Sample
from pipeline.sources.shapes import Shapes
from pipeline.sources.unit import Unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32", help="an architecture of open_clip's, or local-dir:FOLDER")
    parser.add_argument("--size", type=int, default=512, help="pixels a side of the encoded pictures")
    parser.add_argument("--count", type=int, default=8, help="pictures, in one batch")
    parser.add_argument("--rounds", type=int, default=3, help="times that all ways are measured; the medians count")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as it likes")
    parser.add_argument("--without-text", action="store_true", help="pictures only")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    naive = Naive(*open_clip.create_model_and_transforms(args.model)[::2], open_clip.get_tokenizer(args.model), not args.without_text)
    stage = ClipStage(ClipModel(args.model), not args.without_text)
    stage.setup(LoadedClip(naive.network, "float32", "cpu"))
    samples = list(Shapes(count=args.count, sizes=(f"{args.size}x{args.size}",)).read(Unit(0, "shapes", 0, args.count)))

    def staged() -> np.ndarray:
        return np.stack([sample.embeddings["clip_image"] for sample in stage(samples)])

    ways: dict[str, Callable[[], np.ndarray]] = {
        "naive, one at a time": lambda: naive.embed(samples, 1),
        "naive, in a batch": lambda: naive.embed(samples, args.count),
        "stage": staged,
    }
    first = [way() for way in ways.values()]  # also the warm-up
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            seconds[name].append(seconds_of(way))
    rates = {name: args.count / float(np.median(times)) for name, times in seconds.items()}
    print(
        f"{args.model}, {args.count} pictures of {args.size} x {args.size}, {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    print("| way | images/s | ratio | largest difference |\n|---|---|---|---|")
    for (name, rate), found in zip(rates.items(), first, strict=True):
        print(f"| {name} | {rate:.2f} | {rate / rates['naive, one at a time']:.2f} | {abs(found - first[0]).max():.1e} |")


@dataclass
class Naive:
    """open_clip, used as its README does it."""

    network: Any
    preprocess: Any
    tokenizer: Any
    with_text: bool

    @torch.inference_mode()
    def embed(self, samples: list[Sample], batch: int) -> np.ndarray:
        """[N, D] of the pictures."""
        self.network.eval()
        found = []
        for start in range(0, len(samples), batch):
            part = samples[start : start + batch]
            pictures = torch.stack([self.preprocess(decode_rgb(sample.images["image"])) for sample in part])
            found.append(self.network.encode_image(pictures, normalize=True))
            if self.with_text:
                self.network.encode_text(self.tokenizer([sample.caption for sample in part]), normalize=True)
        return torch.cat(found).numpy()


if __name__ == "__main__":
    main()
