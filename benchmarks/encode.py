"""How fast pictures become codes: `python -m benchmarks.encode`.

Two networks, each in two ways, alternating in one run, so that only the ratio is to be believed on a shared machine:

    reference   float32, NCHW, one picture at a time, all threads on it
    batched     bfloat16, channels_last, as `mgpt prepare` encodes a batch: a picture a thread

The last line says how many times as many pictures the bundled network encodes: in float32, in bfloat16, and in bfloat16 against the other's
float32.

The Chameleon-size network has random weights, and a codebook of vectors that it makes of other pictures; the bundled one has its own.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.chameleon_size import CONFIG, chameleon_size_network
from pipeline.images import apply_crop, decode_rgb, plan_crop
from pipeline.sources.shapes import Shapes
from pipeline.sources.unit import Unit
from tokenizer.vq.chameleon import BUNDLED, LoadedChameleon
from tokenizer.vq.config import parse_config, read_config
from tokenizer.vq.network import VQGAN
from tokenizer.vq.weights import load_weights, read_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--count", type=int, default=4, help="pictures a batch")
    parser.add_argument("--rounds", type=int, default=3, help="times that both ways are measured; the medians count")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as it likes")
    parser.add_argument("--networks", nargs="+", default=["chameleon", "bundled"], choices=["chameleon", "bundled"])
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    pixels = drawn_pictures(args.count, args.size, seed=0)
    print(f"{args.count} pictures of {args.size} x {args.size}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| network | float32, one at a time | bfloat16, batched | ratio | equal codes |")
    print("|---|---|---|---|---|")
    rates = {}
    for name in args.networks:
        make = {"chameleon": chameleon_network, "bundled": bundled_network}[name]
        network, downsample = make()
        batched = LoadedChameleon(make()[0], "bfloat16", "cpu", downsample)
        slow, fast, equal = rates[name] = compare(network.eval(), batched, pixels, args.rounds)
        print(f"| {name} | {slow:.2f} images/s | {fast:.2f} images/s | {fast / slow:.2f} | {equal:.1%} |", flush=True)
    if len(rates) > 1:
        (slow, fast, _), (bundled_slow, bundled_fast, _) = rates["chameleon"], rates["bundled"]
        print(f"| bundled : chameleon | {bundled_slow / slow:.1f} | {bundled_fast / fast:.1f} | {bundled_fast / slow:.1f} | |")


def compare(reference: VQGAN, batched: LoadedChameleon, pixels: np.ndarray, rounds: int) -> tuple[float, float, float]:
    """Images/s of either, from the medians, and the share of equal codes."""

    @torch.inference_mode()
    def one_at_a_time() -> np.ndarray:
        pictures = (torch.from_numpy(picture[None]).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1 for picture in pixels)
        return torch.cat([reference.codes(reference.encode(picture)) for picture in pictures]).numpy()

    def together() -> np.ndarray:
        return batched.encode(pixels)

    slow, fast = [], []
    equal = float((one_at_a_time() == together()).mean())  # also the warm-up
    for _ in range(rounds):
        slow.append(seconds_of(one_at_a_time))
        fast.append(seconds_of(together))
    return len(pixels) / float(np.median(slow)), len(pixels) / float(np.median(fast)), equal


def chameleon_network() -> tuple[VQGAN, int]:
    """Random weights in the published shape, and the pixels a code."""
    network = chameleon_size_network()
    config = parse_config(CONFIG, "benchmarks")
    with torch.inference_mode():  # random weights make vectors far from a random codebook, and all would have one code
        x = torch.from_numpy(drawn_pictures(4, 256, seed=1)).permute(0, 3, 1, 2).float() / 127.5 - 1
        vectors = network.encode(x).permute(0, 2, 3, 1).reshape(-1, config.embed_dim)
        spread = torch.randn(config.num_codes, config.embed_dim) * vectors.std(0)
        network.quantize.embedding.weight.data.copy_(vectors[torch.randint(len(vectors), (config.num_codes,))] + spread)
    return network, config.downsample


def bundled_network() -> tuple[VQGAN, int]:
    """The network in the box."""
    config = read_config(str(BUNDLED / "vqgan.yaml"))
    network = VQGAN(config)
    load_weights(network, read_weights(str(BUNDLED / "weights.safetensors")), "bundled")
    return network, config.downsample


def drawn_pictures(count: int, size: int, seed: int) -> np.ndarray:
    """uint8 [count, size, size, 3]: drawn scenes, some of them grainy."""
    source = Shapes(count=count, seed=seed, sizes=(f"{size}x{size}",), texture_share=0.5)
    pictures = (decode_rgb(sample.images["image"]) for sample in source.read(Unit(0, "shapes", 0, count)))
    return np.stack([np.asarray(apply_crop(p, plan_crop(p.size, (size, size)))) for p in pictures])


def seconds_of(work: Callable[[], np.ndarray]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
