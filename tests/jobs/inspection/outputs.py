"""Outputs to inspect, and ways to damage them. Each way leaves the files consistent, so that only the damage itself is wrong."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from jobs.__main__ import main
from pipeline.samples import Conversation, ImageRef, TokenSequence, Turn
from pipeline.shards.arrow_file import read_arrow, write_arrow
from pipeline.shards.manifest import FileEntry, Manifest, describe_file, load_manifest
from tests.jobs.recipes import write_recipe
from tests.token_output import TEXT_TOKENIZER_PATH, make_sequence, text_sequence, text_to_image_sequence, write_output
from tokenizer.text import TextTokenizer

FOX = ImageRef("image")


def small_sequences() -> list[TokenSequence]:
    """Five sequences of four samples: `fox` feeds two tasks."""
    return list(_small_sequences())


@cache
def _small_sequences() -> tuple[TokenSequence, ...]:
    text, rng = TextTokenizer(TEXT_TOKENIZER_PATH), np.random.default_rng(0)
    captioning = Conversation(
        "fox", "captioning", (Turn("user", ("Describe the image in detail. ", FOX)), Turn("assistant", ("a red fox",)))
    )
    return (
        text_to_image_sequence("fox", "a red fox", text, rng),
        make_sequence(captioning, {FOX: (96, 32)}, text, rng, caption="a red fox"),
        text_sequence("primes", "Name a prime.", "7.", text),
        text_to_image_sequence("owl", "an owl at night", text, rng, height=32, width=96),
        text_to_image_sequence("cat/tabby", "a cat", text, rng),
    )


def write_small(folder: Path, change: Callable[[list[TokenSequence]], list[TokenSequence]] = lambda sequences: sequences) -> Path:
    """An output of the small sequences in shards of two, after a change to them."""
    write_output(folder, change(small_sequences()), rows_per_shard=2)
    return folder


def change_ids(number: int, edit: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[list[TokenSequence]], list[TokenSequence]]:
    """Edit the ids of one sequence, in place or by returning others."""

    def change(sequences: list[TokenSequence]) -> list[TokenSequence]:
        ids = sequences[number].input_ids.copy()
        edited = edit(ids)
        sequences[number] = replace(sequences[number], input_ids=ids if edited is None else edited)
        return sequences

    return change


def rewrite(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a table of an output, and let the manifest state its new bytes and hash, but its old rows and tokens."""
    path = str(folder / "tokens" / name)
    write_arrow(path, change(read_arrow(path)))

    def restate(entry: FileEntry) -> FileEntry:
        found = describe_file(path)
        return replace(entry, bytes=found.bytes, sha256=found.sha256) if entry.name == name else entry

    edit_manifest(folder, lambda manifest: replace(manifest, shards=tuple(map(restate, manifest.shards)), index=restate(manifest.index)))


def edit_manifest(folder: Path, change: Callable[[Manifest], Manifest]) -> None:
    (folder / "tokens" / "manifest.json").write_bytes(change(load_manifest(str(folder / "tokens"))).dump())


def set_value(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    """The table with one value changed."""
    field = table.schema.field(column)
    plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    values = table[column].to_pylist()
    values[row] = value
    array = pa.array(values, plain)
    array = array.dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else array
    return table.set_column(table.schema.get_field_index(column), field, array)


def prepare_small(folder: Path) -> Path:
    """A whole output, made by `mgpt prepare` with the golden quantizer: 6 accepted, 2 rejected and 2 failed of 10 pictures."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(8):
        pixels = rng.integers(0, 256, (70, 90 if number % 2 else 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"picture_{number}.png")
        caption = f"noise <b>number {number}</b> & more of it" if number < 6 else "IMG_0001.jpg"
        (pictures / f"picture_{number}.txt").write_text(caption)
    (pictures / "empty.png").write_bytes(b"")
    (pictures / "page.jpg").write_bytes(b"<html><body>404</body></html>")
    for name in ("empty", "page"):
        (pictures / f"{name}.txt").write_text("<script>alert('no picture')</script>")
    tasks = '[[task]]\nkind = "text_to_image"\n[[task]]\nkind = "captioning"\n'
    rest = f'[run]\nmax_failed_fraction = 0.5\nunit_size = 4\n[[filter]]\nkind = "caption_text"\n{tasks}'
    recipe, output = write_recipe(folder, f'kind = "folder"\npath = "{pictures}"', rest=rest)
    assert main(["prepare", str(recipe)]) == 0
    return output
