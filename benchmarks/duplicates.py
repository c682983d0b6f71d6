"""How long duplicates take to find, and how many are found: `python -m benchmarks.duplicates`.

Hashes are random; embeddings are drawn as unevenly as those of photographs (few directions carry most of the variance, so that cells have
close neighbours across their borders). A tenth of all are copies: hashes with 1 to 4 bits turned over, embeddings turned by as much as a
cosine of 0.971 to 0.998; as many again are just beyond the bound. Both filters run as they do in a run, from signatures to rulings. Recall
and precision of embeddings are also measured against comparing a sample of them with all others. Last, how far the hashes of the example
photographs move when they are changed.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageEnhance

from filters.near_duplicates import NearDuplicates
from filters.neighbours.embedding_pairs import PROBES, near_pairs, unit
from filters.neighbours.picture_hash import picture_hash
from filters.perceptual_duplicates import PerceptualDuplicates
from pipeline.images import decode_rgb
from pipeline.run_view import RunView

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
MIN_COSINE = 0.97
CONTEXT = bytes(8)
WORDS = "| what | samples | seconds | of a processor | planted copies | found | recall | others left out | precision |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--asked", type=int, default=2000, help="embeddings that are compared with all others")
    parser.add_argument("--photos", type=int, default=47)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(WORDS)
    print("|" + "---|" * WORDS[1:].count("|"))
    hashes, copies = planted_hashes(rng, options.count)
    signatures = [CONTEXT + each.tobytes() + each.tobytes() for each in hashes]
    report("perceptual_duplicates", PerceptualDuplicates(), signatures, copies)
    embeddings, copies = planted_embeddings(rng, options.count, options.dimensions)
    signatures = [CONTEXT + each.tobytes() for each in embeddings]
    report("near_duplicates", NearDuplicates(min_cosine=MIN_COSINE), signatures, copies)
    against_all(embeddings, rng.choice(options.count, min(options.asked, options.count), replace=False))

    changed_photographs(options.photos)


def report(kind: str, rule: PerceptualDuplicates | NearDuplicates, signatures: list[bytes], copies: np.ndarray) -> None:
    """Ask the filter, and print a line of the table. Of a planted pair the copy comes later by key, so it is the one that is left out."""
    keys = [f"{number:08}" for number in range(len(signatures))]
    table = pa.table({"key": keys, f"signature.{kind}": pa.array(signatures, pa.binary())})
    cpu = time.process_time()
    seconds, rulings = timed(lambda: rule.judge_run(RunView(table, np.ones(len(keys), bool))))
    cpu = time.process_time() - cpu
    found = len(rulings.keys() & set(copies.tolist()))
    others = len(rulings) - found
    shares = f"{found / len(copies):.4f} | {others} | {found / max(len(rulings), 1):.4f}"
    print(f"| {kind} | {len(keys)} | {seconds:.1f} | {cpu:.1f} | {len(copies)} | {found} | {shares} |")


def against_all(embeddings: np.ndarray, asked: np.ndarray) -> None:
    """Pairs of some embeddings with all others, by the index and by multiplying everything."""
    items, order = np.unique(np.ascontiguousarray(embeddings).view(f"V{embeddings.shape[1] * 2}")[:, 0], return_index=True)
    embeddings = embeddings[order]  # as the filter sorts them
    wide, asked = unit(embeddings), np.unique(asked % len(items))
    expected = {(int(asked[row]), int(other)) for row, other in np.argwhere(wide[asked] @ wide.T >= MIN_COSINE) if asked[row] != other}
    groups = np.zeros(len(items), np.uint64)
    seconds, pairs = timed(lambda: np.concatenate([*near_pairs(embeddings, groups, MIN_COSINE), np.zeros((0, 2), np.int64)]))
    both_ways = np.concatenate([pairs, pairs[:, ::-1]])
    found = set(map(tuple, both_ways[np.isin(both_ways[:, 0], asked)].tolist()))
    print(f"\n{PROBES} cells probed, {seconds:.1f} s: of {len(expected)} pairs of {len(asked)} embeddings with any other, ", end="")
    print(f"{len(expected & found) / max(len(expected), 1):.4f} found; {len(found - expected)} that are none")


def changed_photographs(count: int) -> None:
    """Bits between the hashes of photographs and of changed ones, and the least between two different ones."""
    files = [path.read_bytes() for path in sorted(PHOTOS.glob("*.[jp][pn]g"))[:count]]
    photos = [decode_rgb(data) for data in files]
    _hash(files[0])  # loads the library
    cpu = time.process_time()
    hashes = [_hash(data) for data in files]
    cpu = (time.process_time() - cpu) / len(photos)
    pixels = np.mean([photo.width * photo.height for photo in photos])
    print(f"\n{1000 * cpu:.1f} ms of a processor to decode and hash a JPEG of {pixels:,.0f} pixels\n")
    print("| change | mean bits | most | within 4 |\n|---|---|---|---|")
    for name, change in CHANGES.items():
        bits = [(one ^ _hash(change(photo))).bit_count() for one, photo in zip(hashes, photos, strict=True)]
        print(f"| {name} | {np.mean(bits):.1f} | {max(bits)} | {np.mean(np.array(bits) <= 4):.0%} |")
    others = [(one ^ two).bit_count() for number, one in enumerate(hashes) for two in hashes[:number]]
    print(f"| another photograph | {np.mean(others):.1f} | least {min(others)} | {np.mean(np.array(others) <= 4):.0%} |")


def _hash(data: bytes) -> int:
    found = picture_hash(data)
    assert found is not None
    return int.from_bytes(found[0])


def _encoded(image: Image.Image, kind: str, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def _resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def _cut(image: Image.Image, share: float) -> Image.Image:
    """Without this share of each side."""
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG, quality 50": lambda image: _encoded(image, "JPEG", 50),
    "JPEG, quality 20": lambda image: _encoded(image, "JPEG", 20),
    "WebP, quality 80": lambda image: _encoded(image, "WEBP", 80),
    "two thirds of the size": lambda image: _encoded(_resized(image, 2 / 3), "JPEG"),
    "a third of the size": lambda image: _encoded(_resized(image, 1 / 3), "JPEG"),
    "twice the size": lambda image: _encoded(_resized(image, 2), "JPEG"),
    "brighter by a quarter": lambda image: _encoded(ImageEnhance.Brightness(image).enhance(1.25), "JPEG"),
    "without colour": lambda image: _encoded(image.convert("L").convert("RGB"), "JPEG"),
    "1% of each side cut": lambda image: _encoded(_cut(image, 0.01), "JPEG"),
    "2% of each side cut": lambda image: _encoded(_cut(image, 0.02), "JPEG"),
    "5% of each side cut": lambda image: _encoded(_cut(image, 0.05), "JPEG"),
}


def planted_hashes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[N] uint64, and the rows that are copies of earlier ones."""
    hashes = rng.integers(0, 1 << 64, count, np.uint64)
    copied, copies, moved, beyond = _parts(count)
    for originals, rows, low, high in ((copied, copies, 1, 4), (moved, beyond, 5, 8)):
        for original, row in zip(originals, rows, strict=True):
            bits = rng.choice(64, rng.integers(low, high + 1), replace=False)
            hashes[row] = hashes[original] ^ np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64))
    return hashes, copies


def planted_embeddings(rng: np.random.Generator, count: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, D] float16 of length 1, and the rows that are copies of earlier ones."""
    spread = (1 + np.arange(dimensions)) ** -0.5  # the variance of the n-th direction falls as 1 / n
    embeddings = unit(rng.standard_normal((count, dimensions), np.float32) * spread.astype(np.float32) + 0.5 * spread.astype(np.float32))
    copied, copies, moved, beyond = _parts(count)
    for originals, rows, low, high in ((copied, copies, 0.971, 0.998), (moved, beyond, 0.94, 0.969)):
        embeddings[rows] = _turned(rng, embeddings[originals], rng.uniform(low, high, (len(rows), 1)))
    return embeddings.astype(np.float16), copies


def _turned(rng: np.random.Generator, units: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    aside = rng.standard_normal(units.shape)
    aside -= (aside * units).sum(axis=1, keepdims=True) * units
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return cosines * units + np.sqrt(1 - cosines**2) * aside


def _parts(count: int) -> list[np.ndarray]:
    """A tenth that is copied, the copies, a tenth that is moved too far, and what becomes of it."""
    tenth = count // 10
    return [np.arange(start * tenth, (start + 1) * tenth) for start in (0, 6, 1, 7)]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
