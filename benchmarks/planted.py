"""How many planted bad samples the filters find, and how many good ones they lose.

    python -m benchmarks.planted --count 1000 --output DIR [--also ocr] [--recipe FILE]

    DIR/shards/00000.tar ...    photographs with captions, good and planted, as img2dataset has them; copies lie in another shard
    DIR/truth.jsonl             key, class, kind, photo, of: the key of the sample that a duplicate shows again
    DIR/run/                    what the filters of the recipe say, see `benchmarks.planted_report`

The photographs are those of examples/photos and of scikit-image, and what --photos adds; a good sample is a part of one, in a mildly
changed light. Of their two halves, with their captions, one is for choosing thresholds (--half tune), the other for reporting.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.planted_captions import BLOCKED_WORDS, CAPTION_PLANTERS, CaptionPlanter
from benchmarks.planted_pictures import COPIES, PLANTERS, Planter, variant
from benchmarks.planted_report import decide, print_report
from pipeline.images import decode_rgb, decode_thumbnail
from pipeline.samples import Sample
from pipeline.shards.image_shards import write_image_shard

EXAMPLES = Path(__file__).parents[1] / "examples" / "photos"
IN_SCIKIT_IMAGE = {
    "brick.png": "A wall of pale bricks with wide joints, photographed from the front in black and white.",
    "coins.png": "Rows of worn antique coins on a dark ground, seen from above in black and white.",
    "grass.png": "Short dense grass seen from above in black and white.",
    "gravel.png": "Coarse gravel seen from above in black and white.",
    "hubble_deep_field.jpg": "Hundreds of faint galaxies in many colours scattered over a black sky.",
    "moon.png": "Craters and their shadows on the gray surface of the moon.",
    "motorcycle_left.png": "A red motorcycle in a garage full of tools and cardboard boxes.",
    "retina.jpg": "The orange back of a human eye with fine blood vessels and a bright spot.",
}
SIDE = 640  # pixels of the longer side to which photographs are brought
SHARES = {  # of the set; what is left is good
    **dict.fromkeys(("blank", "near_solid"), 0.04),
    **dict.fromkeys(("blurred", "bordered", "screenshot", "other_language"), 0.06),
    **dict.fromkeys(("soft", "text_laden", "blocked_words", "unsafe_in_table", "opted_out"), 0.03),
    **{"junk_caption": 0.09, "wrong_caption": 0.04, "exact_duplicate": 0.03, "near_duplicate": 0.04, "cropped_duplicate": 0.01},
}
GOOD = "good"


@dataclass(frozen=True, slots=True)
class Planted:
    """What a sample is, before it is drawn."""

    key: str  # shard and number in it
    label: str  # class
    kind: str  # within the class
    photo: str
    of: str = ""  # key of the sample that it shows again


@dataclass(frozen=True, slots=True)
class Photograph:
    name: str
    image: Image.Image
    caption: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="samples (default: 1000)")
    parser.add_argument("--output", required=True, help="folder; what is in it is replaced")
    parser.add_argument("--recipe", default="", help="whose [[filter]] are asked (default: all that need no weights)")
    parser.add_argument("--also", nargs="+", default=[], metavar="KIND", help="further filters, with their defaults: ocr")
    parser.add_argument("--photos", action="append", default=[], help="a folder with more photographs; may be given more than once")
    parser.add_argument("--half", choices=["all", "tune", "report"], default="all", help="which photographs (default: all)")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    photographs = read_photographs([Path(folder) for folder in args.photos], args.half)
    truth = plant(Path(args.output), photographs, args.count, num_shards=args.shards, seed=args.seed)
    print(f"{len(truth)} samples from {len(photographs)} photographs ({args.half}), seed {args.seed}\n")
    print_report(decide(args.output, args.recipe, BLOCKED_WORDS, args.also), [asdict(item) for item in truth])
    return 0


def read_photographs(folders: Sequence[Path], half: str) -> list[Photograph]:
    """All photographs, or half of them, none larger than SIDE."""
    import skimage.data

    written = [json.loads(line) for line in (EXAMPLES / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    captions = {EXAMPLES / row["file_name"]: row["text"] for row in written}
    captions |= {Path(skimage.data.__file__).parent / name: caption for name, caption in IN_SCIKIT_IMAGE.items()}
    for folder in folders:
        captions |= {path: f"A photograph with the title {path.stem.replace('_', ' ')}" for path in sorted(folder.iterdir())}
    files = sorted(captions, key=lambda path: (path.name, str(path)))
    return [Photograph(path.stem, _read(path.read_bytes()), captions[path]) for path in files if half in ("all", _half_of(path.stem))]


def _half_of(name: str) -> str:
    """A photograph stays in its half, whatever others there are."""
    return ("tune", "report")[hashlib.sha256(name.encode()).digest()[0] % 2]


def plant(output: Path, photographs: Sequence[Photograph], count: int, *, num_shards: int, seed: int) -> list[Planted]:
    """Write shards and truth; the truth in the order of the keys."""
    plans = sorted(plan(photographs, count, num_shards, seed), key=lambda item: item.key)
    by_key, by_name = {item.key: item for item in plans}, {photo.name: photo for photo in photographs}
    for shard in range(num_shards):
        drawn = (draw(item, by_key, by_name, seed) for item in plans if int(item.key[:5]) == shard)
        write_image_shard(str(output / "shards"), shard, drawn)
    (output / "truth.jsonl").write_text("".join(json.dumps(asdict(item)) + "\n" for item in plans))
    return plans


def plan(photographs: Sequence[Photograph], count: int, num_shards: int, seed: int) -> Iterator[Planted]:
    """What is planted, of which photograph and where."""
    rng = np.random.default_rng(seed)
    labels = [label for label, share in SHARES.items() for _ in range(max(1, round(share * count)))]
    labels = [GOOD] * (count - len(labels)) + labels
    filled = [0] * num_shards
    originals: list[Planted] = []
    for number, label in enumerate(labels):
        photo, of = photographs[number % len(photographs)].name, ""
        shards = list(range(num_shards))
        if label.endswith("duplicate"):
            original = originals[number % len(originals)]
            photo, of = original.photo, original.key
            shards.remove(int(of[:5]))
        shard = int(rng.choice(shards))
        kinds = [*_kinds(label)]
        item = Planted(f"{shard:05d}{filled[shard]:04d}", label, kinds[number % len(kinds)], photo, of)
        filled[shard] += 1
        if label == GOOD:
            originals.append(item)
        yield item


def draw(item: Planted, by_key: dict[str, Planted], photographs: dict[str, Photograph], seed: int) -> Sample:
    """The sample: a function of its plan and the seed."""
    if item.label == "exact_duplicate":
        original = draw(by_key[item.of], by_key, photographs, seed)
        return Sample(item.key, original.caption, original.images, metadata=original.metadata)
    source = by_key[item.of] if item.of else item
    photo, rng = photographs[item.photo], np.random.default_rng([seed, int(source.key)])
    image = variant(photo.image, rng)
    own = np.random.default_rng([seed, int(item.key), 1])
    quality = int(own.integers(75, 96))
    if item.label in COPIES:
        image, quality = COPIES[item.label][item.kind](image, own), int(own.integers(45, 75))
    elif planter := PLANTERS.get(item.label):
        image = planter[item.kind](image, own)
    caption = _caption(photo.caption, own)
    if item.label == "wrong_caption":
        caption = _caption(str(own.choice([other.caption for other in photographs.values() if other.name != item.photo])), own)
    elif caption_planter := CAPTION_PLANTERS.get(item.label):
        caption = caption_planter[item.kind](caption, own)
    return Sample(item.key, caption, {"image": _encode(image, quality, own)}, metadata=_metadata(item, own))


def _kinds(label: str) -> dict[str, Planter] | dict[str, CaptionPlanter] | dict[str, None]:
    return COPIES.get(label) or PLANTERS.get(label) or CAPTION_PLANTERS.get(label) or {label: None}


def _caption(caption: str, rng: np.random.Generator) -> str:
    """The whole caption, or what stands before the first comma where that is enough of one."""
    head = caption.partition(",")[0]
    return head if rng.random() < 0.5 and len(head.split()) >= 5 else caption


def _metadata(item: Planted, rng: np.random.Generator) -> dict[str, object]:
    """Columns as LAION's tables have them."""
    unsafe, opted_out = item.label == "unsafe_in_table", item.label == "opted_out"
    return {
        "url": f"https://pictures.example/{item.key}",
        "NSFW": "NSFW" if unsafe else str(rng.choice(["UNLIKELY", "UNLIKELY", "UNSURE"])),
        "punsafe": round(float(rng.uniform(0.6, 1.0) if unsafe else rng.uniform(0.0, 0.3)), 4),
        "x-robots-tag": str(rng.choice(["noai", "noindex, noimageai"])) if opted_out else str(rng.choice(["", "noarchive"])),
    }


def _read(data: bytes) -> Image.Image:
    image = decode_thumbnail(data, SIDE) if len(data) > 2_000_000 else decode_rgb(data)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


def _encode(image: Image.Image, quality: int, rng: np.random.Generator) -> bytes:
    buffer, format = io.BytesIO(), str(rng.choice(["JPEG", "PNG", "WEBP"], p=[0.8, 0.1, 0.1]))
    if format == "PNG":
        image.save(buffer, format)
    else:
        image.save(buffer, format, quality=quality)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
