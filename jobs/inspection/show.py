"""`mgpt inspect show KEY`: a sample's sequences as dialogues, with all that is stored of them, and the ledger's row."""

import difflib
import json
import zlib

from jobs.inspection.dialogue import border_lines, cut_into_pieces, dialogue_lines, printable
from jobs.inspection.ledger_rows import find_ledger_row, ledger_folder
from pipeline.errors import RecipeError
from pipeline.shards.reader import TokenShards
from tokenizer.text import TextTokenizer

MAX_COMPARED = 20_000  # keys among which a near match is looked for


def show(path: str, keys: list[str]) -> None:
    """Print what is known of some samples.

    Raises:
        RecipeError: A key is neither in the shards nor in the ledger.
    """
    shards = TokenShards(path)
    text = TextTokenizer(shards.text_tokenizer)
    for key in keys:
        numbers = shards.find(key)
        row = find_ledger_row(ledger_folder(shards.folder), key)
        if not numbers and row is None:
            raise unknown_key(shards, key)
        for number in numbers:
            _show_sequence(shards, number, text)
        if not numbers:
            print(f"{key}: no shard holds a sequence of it")
        _show_row(row)


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


def _show_sequence(shards: TokenShards, number: int, text: TextTokenizer) -> None:
    sequence = shards.read(number)
    pieces = cut_into_pieces(sequence, text)
    crc = "holds" if zlib.crc32(sequence.input_ids.tobytes()) == shards.crc(number) else "does not hold"
    length, loss = len(sequence.input_ids), sequence.num_loss_tokens
    spans = ", ".join(f"{start}..{stop}" for start, stop in sequence.loss_spans)
    print(f"{printable(sequence.key)} · {sequence.task} · sequence {number} · {length} tokens, {loss} with loss ({spans}) · CRC {crc}")
    print(f"caption   {printable(sequence.caption)}")
    if sequence.metadata:
        print(f"metadata  {printable(json.dumps(dict(sequence.metadata), ensure_ascii=False))}")
    print()
    for line in dialogue_lines(pieces, sequence.loss_spans):
        print(line)
    print()
    print(f"{'position':>8}   {'what begins':<20} {'ids before':>20} │ ids from there on; ▌ takes loss")
    for line in border_lines(sequence, pieces):
        print(line)
    print()


def _show_row(row: dict[str, object] | None) -> None:
    if row is None:
        print("ledger    there is no row of it")
        return
    said = {name: value for name, value in row.items() if value is not None and value != "" and name not in ("key", "caption")}
    print("ledger    " + "\n          ".join(f"{name} {printable(str(value))}" for name, value in said.items()))
    print()
