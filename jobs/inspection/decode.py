"""`mgpt inspect decode KEY`: pictures drawn from tokens, by the very VQ that made the tokens."""

import hashlib
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from jobs.inspection.keys import unknown_key
from jobs.inspection.ledger_rows import output_folder
from pipeline import paths
from pipeline.config import build_kind
from pipeline.errors import RecipeError, VerificationError
from pipeline.samples import TokenSequence
from pipeline.shards.manifest import Manifest
from pipeline.shards.reader import TokenShards
from tokenizer.layout import ids_to_image, image_length
from tokenizer.vocab import Vocab, load_vocab
from tokenizer.vq import VQ, VQ_BACKENDS, LoadedVQ

DECODED_FOLDER = "decoded"
UNSAFE = '/\\:*?"<>|%'  # in file names, on one system or another; % because it spells the others
MAX_NAME_BYTES = 160  # of a key in a file name; file systems allow 255 for all of it


def decode(path: str, keys: list[str], out: str, limit: int) -> list[str]:
    """Write a PNG for each picture of some samples.

    Args:
        out: The folder for them; empty: OUTPUT/decoded.
        limit: Pictures at most, over all keys.

    Returns:
        Paths of the PNGs.

    Raises:
        RecipeError: An unknown key, or the VQ's files are not there.
        VerificationError: The VQ is another one than made the tokens, or an image breaks the grammar.
    """
    shards = TokenShards(path)
    vocab = load_vocab(shards.text_tokenizer)
    if limit < 1:
        raise RecipeError(f"--limit: 1 or more pictures are wanted, got {limit}")
    sequences = {key: [shards.read(number) for number in shards.find(key)] for key in keys}
    for key, found in sequences.items():
        if not found:
            raise unknown_key(shards, key)
    if not any(sequence.images for found in sequences.values() for sequence in found):
        print("there is no picture in these samples")
        return []
    vq = load_vq(shards.manifest)
    written: list[str] = []
    for sequence, name in _named(sequences):
        for number, codes_HW in enumerate(image_codes(sequence, vocab)):
            if len(written) == limit:
                print(f"stopped at {limit} pictures; --limit raises it")
                return written
            suffix = f"-{number}" if len(sequence.images) > 1 else ""
            target = paths.join(out or paths.join(output_folder(shards.folder), DECODED_FOLDER), f"{name}{suffix}.png")
            paths.commit_bytes(target, to_png(vq.decode(codes_HW[None])[0]))
            print(target)
            written.append(target)
    return written


def load_vq(manifest: Manifest) -> LoadedVQ:
    """The VQ that made the tokens, wherever it is to run now.

    Raises:
        RecipeError: Its files are not there.
        VerificationError: They are not the files that made the tokens.
    """
    table = {name: value for name, value in manifest.vq.items() if name not in ("fingerprint", "device")}
    vq: VQ = build_kind(VQ_BACKENDS, table, "manifest.json: vq")
    vq.check()
    if (found := vq.fingerprint()) != manifest.vq.get("fingerprint"):
        named = table.get("weights") or "the bundled VQ"
        raise VerificationError(
            f"{named} is not what made these tokens: its fingerprint is {found}, theirs {manifest.vq.get('fingerprint')}"
        )
    return vq.load()


def image_codes(sequence: TokenSequence, vocab: Vocab) -> Iterator[np.ndarray]:
    """[H, W] codes of each image of a sequence.

    Raises:
        VerificationError: An image breaks the grammar.
    """
    for image in sequence.images:
        stop = image.start + image_length(image.height, image.width)
        try:
            yield ids_to_image(sequence.input_ids[image.start : stop], vocab)
        except ValueError as error:
            raise VerificationError(f"{sequence.key}: the image at {image.start} cannot be decoded: {error}") from error


def to_png(pixels_HWC: np.ndarray) -> bytes:
    """Encode uint8 RGB."""
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "PNG")
    return file.getvalue()


def safe_name(key: str) -> str:
    """A key as a file name; different keys get different names."""
    name = "".join(f"%{ord(char):02X}" if char in UNSAFE or not char.isprintable() else char for char in key)
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return f"{name.encode()[:MAX_NAME_BYTES].decode(errors='ignore')}%{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _named(sequences: dict[str, list[TokenSequence]]) -> Iterator[tuple[TokenSequence, str]]:
    """Each sequence with the name of its pictures: the key, then what tells it from the sample's other sequences."""
    for key, found in sequences.items():
        for sequence in found:
            parts = [safe_name(key)]
            if len(found) > 1:
                parts.append(safe_name(sequence.task))
            if repeat := sequence.metadata.get("repeat"):
                parts.append(f"repeat{repeat}")
            yield sequence, "-".join(parts)
