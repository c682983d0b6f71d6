"""Keys that are not there."""

import difflib

from pipeline.errors import RecipeError
from pipeline.shards.reader import TokenShards

MAX_COMPARED = 20_000  # keys among which a near match is looked for


def unknown_key(shards: TokenShards, key: str) -> RecipeError:
    """The error for a key that no shard holds, with keys like it."""
    keys: list[str] = []
    for entry in shards.manifest.shards:
        keys += shards.shard_table(entry.name)["key"].slice(0, MAX_COMPARED - len(keys)).to_pylist()
    near = difflib.get_close_matches(key, dict.fromkeys(keys), n=3, cutoff=0.4)
    hint = (
        f"; did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"; the first keys are {', '.join(map(repr, keys[:3]))}"
        if keys
        else ""
    )
    return RecipeError(f"{shards.folder}: no sample has the key {key!r}{hint}")
