"""An OUTPUT made of given token sequences, written by the project's own writers: what a test of a reader or a trainer starts from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import paths
from pipeline.samples import Conversation, ImageRef, TokenSequence, Turn
from pipeline.shards.arrow_file import write_arrow
from pipeline.shards.manifest import FileEntry, Manifest, describe_file
from pipeline.shards.schema import INDEX, INDEX_SCHEMA, MANIFEST, SHARD_NAME, TEXT_TOKENIZER, TOKENS_FOLDER, index_rows, token_table
from tokenizer.layout import PIXELS_PER_CODE
from tokenizer.sequence import fill, outline
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.text import TextTokenizer
from tokenizer.vocab import load_vocab

TEXT_TOKENIZER_PATH = str(Path(__file__).parent / "golden" / "tokenizer" / "text_tokenizer.json")


def write_output(
    folder: str | Path, sequences: Sequence[TokenSequence], text_tokenizer_path: str = TEXT_TOKENIZER_PATH, *, rows_per_shard: int = 1000
) -> Manifest:
    """Write OUTPUT/tokens with these sequences in this order; there is no ledger."""
    tokens = paths.join(str(folder), TOKENS_FOLDER)
    vocab = load_vocab(text_tokenizer_path)
    shards: list[FileEntry] = []
    index: list[pa.Table] = [INDEX_SCHEMA.empty_table()]
    for start in range(0, max(len(sequences), 1), rows_per_shard):
        table = token_table(list(sequences[start : start + rows_per_shard]), vocab.dtype)
        path = paths.join(tokens, SHARD_NAME.format(len(shards)))
        write_arrow(path, table)
        rows = index_rows(table, len(shards))
        index.append(rows)
        totals = {name: sum(rows[name].to_pylist()) for name in ("tokens", "loss_tokens")}
        shards.append(describe_file(path, table.num_rows, **totals))
    whole = pa.concat_tables(index).unify_dictionaries()
    write_arrow(paths.join(tokens, INDEX), whole)
    paths.commit_bytes(paths.join(tokens, TEXT_TOKENIZER), paths.read_bytes(text_tokenizer_path))
    manifest = Manifest(
        token_dtype=vocab.dtype.name,
        vocabulary={"fingerprint": vocab.fingerprint, "size": vocab.size},
        vq={"kind": "none", "fingerprint": ""},
        recipe="",
        counts={"input": len(sequences), "accepted": len(sequences), "rejected": 0, "failed": 0},
        shards=tuple(shards),
        index=describe_file(paths.join(tokens, INDEX), rows=whole.num_rows),
        text_tokenizer=describe_file(paths.join(tokens, TEXT_TOKENIZER)),
    )
    paths.commit_bytes(paths.join(tokens, MANIFEST), manifest.dump())
    return manifest


def text_to_image_sequence(
    key: str, caption: str, text: TextTokenizer, rng: np.random.Generator, *, height: int = 64, width: int = 64
) -> TokenSequence:
    """A text-to-image sequence whose codes are drawn at random; sides in pixels."""
    image = ImageRef("image")
    turns = (Turn("user", (text_to_image_prompt(caption, (width, height)),)), Turn("assistant", (image,)))
    return make_sequence(Conversation(key, "text_to_image", turns), {image: (width, height)}, text, rng, caption=caption)


def text_sequence(key: str, question: str, answer: str, text: TextTokenizer) -> TokenSequence:
    """A text-only sequence."""
    turns = (Turn("user", (question,)), Turn("assistant", (answer,)))
    return make_sequence(Conversation(key, "text_only", turns), {}, text, np.random.default_rng(0))


def make_sequence(
    conversation: Conversation,
    sizes: dict[ImageRef, tuple[int, int]],
    text: TextTokenizer,
    rng: np.random.Generator,
    *,
    caption: str = "",
    metadata: dict[str, Any] | None = None,
) -> TokenSequence:
    """Any conversation as a sequence; the codes of its images (width, height in pixels) are drawn at random."""
    outlined = outline(conversation, sizes, text)
    codes = [
        rng.integers(0, len(text.vocab.codes), (slot.height // PIXELS_PER_CODE, slot.width // PIXELS_PER_CODE)) for slot in outlined.slots
    ]
    return fill(outlined, codes, text, caption, metadata or {})
