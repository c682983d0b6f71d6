"""The report's pictures: originals beside what their tokens decode to, and samples that were left out."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from filters import FILTERS
from jobs.inspection.decode import image_codes, load_vq
from jobs.reporting.charts import number
from jobs.reporting.page import image, section, text
from jobs.reporting.run_data import RunData, ledger_rows
from pipeline.dice import dice
from pipeline.errors import RecipeError, VerificationError
from pipeline.images import PictureError, decode_rgb, decode_thumbnail
from pipeline.samples import TokenSequence
from pipeline.shards.reader import TokenShards
from tokenizer.vocab import load_vocab

NUM_PAIRS = 12
NUM_CANDIDATES = 200  # sequences among which NUM_PAIRS are drawn where no original can be read
MAX_LEFT_OUT = 24
SIDE = 320  # pixels of a thumbnail's longer side
QUALITY = 85  # JPEG


def pick_keys(shards: TokenShards, available: Iterable[str], seed: int, count: int = NUM_PAIRS) -> list[str]:
    """Keys of samples whose pictures are shown: drawn by seed, one of each picture size in turn, so that no kind crowds out the others.

    Args:
        available: Keys whose originals can be read; where there are none, any sample of the shards may be drawn.
    """
    keys = set(available)
    if not keys and len(shards):
        numbers = {dice(seed, str(i), "report").randrange(len(shards)) for i in range(NUM_CANDIDATES)}
        keys = {shards.read(number).key for number in numbers}
    by_size: dict[str, list[str]] = {}
    for key, size in _picture_sizes(shards, keys).items():
        by_size.setdefault(size, []).append(key)
    turns = [
        (place, dice(seed, size, "report").random(), key)
        for size, members in by_size.items()
        for place, key in enumerate(sorted(members, key=lambda key: dice(seed, key, "report").random()))
    ]
    return [key for _, _, key in sorted(turns)[:count]]


def _picture_sizes(shards: TokenShards, keys: set[str]) -> dict[str, str]:
    """Those of some samples that have a picture in the shards, with its size."""
    sizes: dict[str, str] = {}
    wanted, buckets, first = pa.array(sorted(keys), pa.string()), shards.index["bucket"].cast(pa.string()), 0
    for entry in shards.manifest.shards:
        own = pa.table({"key": shards.shard_table(entry.name)["key"], "bucket": buckets.slice(first, entry.rows)})
        found = own.filter(pc.and_(pc.is_in(own["key"], value_set=wanted), pc.not_equal(own["bucket"], "")))
        sizes |= dict(zip(found["key"].to_pylist(), found["bucket"].to_pylist(), strict=True))
        first += entry.rows
    return sizes


def pairs(data: RunData, originals: Mapping[str, bytes]) -> str:
    """Originals, cut as they were for the encoder, beside the pictures that their tokens stand for."""
    shards = data.shards
    if shards is None:
        return ""
    keys = pick_keys(shards, originals, data.seed)
    if not keys:
        return ""
    try:
        vq = load_vq(shards.manifest)
    except (RecipeError, VerificationError) as error:  # the VQ's files are elsewhere or were changed: the report says so and goes on
        return section("Pictures and their tokens", f"<p>The pictures cannot be decoded: {text(error)}</p>")
    vocab, rows = load_vocab(shards.text_tokenizer), ledger_rows(data.output, set(keys))
    figures = []
    for key in keys:
        sequence = next(found for number in shards.find(key) if (found := shards.read(number)).images)
        codes_HW = next(image_codes(sequence, vocab))
        decoded = _thumbnail(Image.fromarray(vq.decode(codes_HW[None])[0]), f"decoded from tokens: {sequence.caption}")
        original = _original(originals.get(key), rows.get(key, {}), sequence)
        figures.append(f'<figure><div class="pair">{original}{decoded}</div>{_pair_caption(sequence)}</figure>')
    note = "Left: what the encoder saw of the original. Right: decoded from its tokens."
    return section("Pictures and their tokens", f'<div class="pictures">{"".join(figures)}</div>', note)


def left_out(data: RunData, originals: Mapping[str, bytes]) -> str:
    """Some of the samples that were left out, of every reason, with what they scored."""
    rows = [row for number in range(MAX_LEFT_OUT) for kept in data.left_out.values() for row in kept[number : number + 1]][:MAX_LEFT_OUT]
    rows.sort(key=lambda row: (row["disposition"], row["stage"], row["reason"]))
    figures = "".join(_left_out_figure(data, row, originals.get(row["key"])) for row in rows)
    total = sum(data.reasons.values())
    return section(
        "Samples left out", figures and f'<div class="pictures single">{figures}</div>', f"{len(rows)} of {total:,}, drawn by seed."
    )


def _left_out_figure(data: RunData, row: Mapping[str, Any], original: bytes | None) -> str:
    shown = '<div class="blank">no picture</div>'
    if original is not None:
        try:
            shown = _thumbnail(decode_thumbnail(original, SIDE // 2), row["caption"] or row["key"])
        except PictureError as error:
            shown = f'<div class="blank">{text(error.reason)}</div>'
    details = [text(row["error_message"])] if row["error_message"] else [text(score) for score in scores_of(data, row)]
    size = f"{row['original_width']}x{row['original_height']}" if row["original_width"] else ""
    why = f'<span><i class="swatch {text(row["disposition"])}"></i> {text(row["stage"])}: {text(row["reason"])}</span>'
    caption = f'<bdi dir="auto">{text(row["caption"])}</bdi>' if row["caption"] else ""
    key = f'<span><code class="key">{text(row["key"])}</code> {text(size)}</span><span>{", ".join(details)}</span>'
    return f"<figure>{shown}<figcaption>{why}{caption}{key}</figcaption></figure>"


def scores_of(data: RunData, row: Mapping[str, Any]) -> list[str]:
    """The scores by which a sample was left out: those of the filter that did it, and whose copy it is."""
    table = next((table for table in data.recipe.get("filter", ()) if table.get("name", table["kind"]) == row["stage"]), None)
    kind = FILTERS.get(table["kind"]) if table else None
    prefix = f"{table['name']}_" if table and "name" in table else ""
    names = [prefix + name for name in (kind.scores if kind else ())]
    found = [f"{name} {number(row[name])}" for name in names if isinstance(row.get(name), float)]
    return [*found, *([f"copy of {row['duplicate_of']}"] if row.get("duplicate_of") else [])]


def _original(original: bytes | None, row: Mapping[str, Any], sequence: TokenSequence) -> str:
    if original is None:
        return '<div class="blank">not read again</div>'
    try:
        picture = decode_rgb(original)
    except PictureError as error:
        return f'<div class="blank">{text(error.reason)}</div>'
    first = sequence.images[0]
    if row.get("crop_box") and row.get("bucket") == f"{first.width}x{first.height}":
        picture = picture.crop(row["crop_box"]).resize((first.width, first.height), Image.Resampling.BICUBIC)
    return _thumbnail(picture, f"original: {sequence.caption}")


def _pair_caption(sequence: TokenSequence) -> str:
    first = sequence.images[0]
    size = f"{first.width}x{first.height}, {len(sequence.input_ids):,} tokens"
    caption = f'<bdi dir="auto">{text(sequence.caption)}</bdi>' if sequence.caption else ""
    return f'<figcaption>{caption}<code class="key">{text(sequence.key)}</code> {text(size)}</figcaption>'


def _thumbnail(picture: Image.Image, alt: str) -> str:
    picture = picture.copy()
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return image(file.getvalue(), "jpeg", alt, picture.size)
