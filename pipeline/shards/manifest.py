"""`manifest.json`: what a folder of token shards is, and the proof that it is whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import paths
from pipeline.errors import RecipeError, VerificationError
from pipeline.shards.schema import FORMAT_VERSION, MANIFEST, TOKENS_FOLDER

TOKEN_DTYPES = ("uint16", "uint32")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file that the manifest answers for."""

    name: str
    bytes: int
    sha256: str
    rows: int = 0
    tokens: int = 0
    loss_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the ids mean, where they came from, and which files there are."""

    token_dtype: str  # "uint16" or "uint32"
    vocabulary: Mapping[str, Any]  # fingerprint (sha256 of text_tokenizer.json) and size
    vq: Mapping[str, Any]  # the recipe's [tokens] vq table and its fingerprint
    recipe: str  # fingerprint of what the recipe says about the data
    counts: Mapping[str, int]  # input, accepted, rejected, failed: samples
    shards: tuple[FileEntry, ...]
    index: FileEntry
    text_tokenizer: FileEntry
    ledger: tuple[FileEntry, ...] = ()  # the ledger's parts, which lie beside the token folder
    format_version: int = FORMAT_VERSION

    @property
    def num_sequences(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def num_tokens(self) -> int:
        return sum(shard.tokens for shard in self.shards)

    def dump(self) -> bytes:
        """The bytes of `manifest.json`: the same manifest gives the same bytes."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def find_tokens_folder(path: str) -> str:
    """The token folder of an OUTPUT, or of its `tokens` folder itself.

    Raises:
        RecipeError: Neither holds a manifest.
    """
    for folder in (path, paths.join(path, TOKENS_FOLDER)):
        if paths.exists(paths.join(folder, MANIFEST)):
            return folder.rstrip("/")
    raise RecipeError(f"{path}: no token shards here (no {MANIFEST}); a run that did not finish has none: run `mgpt prepare` again")


def load_manifest(folder: str) -> Manifest:
    """Read the manifest of a token folder.

    Raises:
        VerificationError: It is damaged or of another format version.
    """
    path = paths.join(folder, MANIFEST)
    try:
        table = json.loads(paths.read_bytes(path))
        version = table["format_version"]
        if version != FORMAT_VERSION:
            raise VerificationError(f"{path}: format version {version}, this reader knows {FORMAT_VERSION}")
        files = {name: tuple(FileEntry(**entry) for entry in table[name]) for name in ("shards", "ledger")}
        single = {name: FileEntry(**table[name]) for name in ("index", "text_tokenizer")}
        manifest = Manifest(**{**table, **files, **single})
        _check(manifest)
        return manifest
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def _check(manifest: Manifest) -> None:
    """Refuse values that are none, before anything is computed with them."""
    if manifest.token_dtype not in TOKEN_DTYPES:
        raise ValueError(f"token_dtype {manifest.token_dtype!r} is none of {', '.join(TOKEN_DTYPES)}")
    numbers = [(name, manifest.counts[name]) for name in ("input", "accepted", "rejected", "failed")]
    for entry in (*manifest.shards, *manifest.ledger, manifest.index, manifest.text_tokenizer):
        numbers += [(f"{entry.name} {name}", getattr(entry, name)) for name in ("bytes", "rows", "tokens", "loss_tokens")]
    for name, number in numbers:
        if type(number) is not int or number < 0:
            raise ValueError(f"{name} is {number!r}, a number from 0 on is wanted")


def describe_file(path: str, rows: int = 0, tokens: int = 0, loss_tokens: int = 0) -> FileEntry:
    """The manifest's entry for a file that lies at `path`."""
    return FileEntry(path.rsplit("/", 1)[-1], paths.size(path), paths.sha256(path), rows, tokens, loss_tokens)
