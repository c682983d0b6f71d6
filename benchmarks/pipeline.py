"""End to end against the encoder alone, and memory while a large tar goes through.

    python -m benchmarks.pipeline speed      the same pictures: decoded and cut beforehand and only encoded, then from tar to token shards
    python -m benchmarks.pipeline memory     resident memory while a tar of 20,000 pictures is prepared

Both print a table; docs/performance.md holds one of each. Ratios within one run mean something, absolute figures only on your machine.
"""

import argparse
import io
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.chameleon_size import write_chameleon_size
from jobs.prepare import prepare
from jobs.recipe import Recipe, build_recipe
from jobs.run_plan import make_plan
from pipeline.buckets import choose_bucket, make_buckets
from pipeline.images import apply_crop, decode_rgb, plan_crop
from pipeline.samples import Sample
from pipeline.shards.image_shards import write_image_shard

PAGE = 4096  # bytes
SAMPLES_OF_MEMORY = 10  # lines in the memory table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("--count", type=int, default=0, help="pictures (default: 24 for speed, 20000 for memory)")
    parser.add_argument("--target-size", type=int, default=0, help="pixels (default: 512 for speed, 64 for memory)")
    parser.add_argument(
        "--network", choices=["chameleon", "bundled"], default="", help="(default: chameleon for speed, bundled for memory)"
    )
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "speed":
            measure_speed(Path(folder), args.count or 24, args.target_size or 512, args.network or "chameleon", args.dtype)
        else:
            measure_memory(Path(folder), args.count or 20_000, args.target_size or 64, args.network or "bundled", args.dtype)
    return 0


def measure_speed(folder: Path, count: int, target_size: int, network: str, dtype: str) -> None:
    """Print images/s of the encoder alone and of the whole way, and their ratio."""
    recipe = write_input(folder, count, round(1.5 * target_size), target_size, network, dtype)
    assert recipe.source is not None
    vq = recipe.vq.load()
    batches = list(encoder_batches(recipe))
    vq.encode(batches[0])  # warm-up: kernels are chosen and packed
    started = time.perf_counter()
    for batch in batches:
        vq.encode(batch)
    alone = count / (time.perf_counter() - started)
    started = time.perf_counter()
    prepare(make_plan(recipe))
    whole = count / (time.perf_counter() - started)
    print(f"\n{count} JPEG pictures of {round(1.5 * target_size)} pixels a side, target {target_size}², {network} network, {dtype}")
    print("| way | images/s | of the encoder alone |\n|---|---|---|")
    print(f"| encoder alone, pictures decoded and cut beforehand | {alone:.2f} | 100 % |")
    print(f"| tar to token shards, `inprocess`, loading the weights included | {whole:.2f} | {whole / alone:.0%} |")


def measure_memory(folder: Path, count: int, target_size: int, network: str, dtype: str) -> None:
    """Print resident memory at equal steps of a run over one tar."""
    recipe = write_input(folder, count, 2 * target_size, target_size, network, dtype)
    plan = make_plan(recipe)
    done = threading.Event()
    readings: list[tuple[float, int]] = []

    def watch() -> None:
        while not done.wait(0.2):
            readings.append((time.perf_counter(), resident_bytes()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    prepare(plan)
    done.set()
    watcher.join()
    seconds = time.perf_counter() - started
    print(f"\none tar of {count} pictures in {len(plan.units)} units, target {target_size}², {network} network, {seconds:.0f} s")
    print("| share of the run | resident memory |\n|---|---|")
    for step in range(SAMPLES_OF_MEMORY + 1):
        when, size = readings[min(step * len(readings) // SAMPLES_OF_MEMORY, len(readings) - 1)]
        print(f"| {(when - started) / (readings[-1][0] - started):.0%} | {size / 2**20:.0f} MiB |")


def write_input(folder: Path, count: int, side: int, target_size: int, network: str, dtype: str) -> Recipe:
    """A tar of pictures, and the recipe that prepares it with no filter."""
    write_image_shard(str(folder / "input"), 0, make_pictures(count, side))
    vq = {"kind": "chameleon", "dtype": dtype}
    if network == "chameleon":
        config, weights = write_chameleon_size(folder)
        vq |= {"config": str(config), "weights": str(weights)}
    return build_recipe(
        {
            "output": str(folder / "output"),
            "source": {"kind": "webdataset", "path": str(folder / "input" / "00000.tar")},
            "tokens": {"target_size": target_size, "vq": vq},
        }
    )


def make_pictures(count: int, side: int) -> Iterator[Sample]:
    """JPEG pictures with the detail of photographs: patches of one, shifted and tinted, a few shapes."""
    from skimage import data

    photo = Image.fromarray(data.astronaut()).resize((2 * side, 2 * side), Image.Resampling.BICUBIC)
    rng = np.random.default_rng(0)
    shapes = [(side, side), (side, side * 3 // 4), (side * 3 // 4, side)]
    for number in range(count):
        width, height = shapes[number % len(shapes)]
        x, y = (int(v) for v in rng.integers(0, side // 2, 2))
        file = io.BytesIO()
        photo.crop((x, y, x + width, y + height)).save(file, "JPEG", quality=90)
        yield Sample(f"{number:09d}", f"patch number {number} of a portrait", {"image": file.getvalue()})


def encoder_batches(recipe: Recipe) -> Iterator[np.ndarray]:
    """The batches of one size that the run itself would encode."""
    assert recipe.source is not None
    groups: dict[tuple[int, int], list[np.ndarray]] = {}
    for unit in recipe.source.plan(recipe.run.unit_size):
        for sample in recipe.source.read(unit):
            assert isinstance(sample, Sample)
            image = decode_rgb(sample.images["image"])
            size = choose_bucket(*image.size, make_buckets(recipe.tokens.target_size))
            groups.setdefault(size, []).append(np.asarray(apply_crop(image, plan_crop(image.size, size))))
    for (width, height), pictures in groups.items():
        batch = max(1, recipe.tokens.batch_pixels // (width * height))
        for start in range(0, len(pictures), batch):
            yield np.stack(pictures[start : start + batch])


def resident_bytes() -> int:
    """Of this process, from the kernel."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    sys.exit(main())
