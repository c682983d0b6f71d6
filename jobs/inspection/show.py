"""`mgpt inspect show KEY`: a sample's sequences as dialogues, with all that is stored of them, and the ledger's row."""

import json
import zlib

import numpy as np

from jobs.inspection.decode import image_codes, load_vq, safe_name, to_png
from jobs.inspection.dialogue import border_lines, cut_into_pieces, dialogue_lines, printable
from jobs.inspection.keys import unknown_key
from jobs.inspection.ledger_rows import find_ledger_row, ledger_folder
from jobs.inspection.strip import draw_strip, shown_turns
from pipeline import paths
from pipeline.shards.reader import TokenShards
from tokenizer.text import TextTokenizer


def show(path: str, keys: list[str], pictures: str = "") -> None:
    """Print what is known of some samples.

    Args:
        pictures: A folder for a picture of each dialogue, its images decoded from their tokens; empty: none.

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
            if pictures:
                print(f"picture   {_draw(shards, number, text, pictures)}\n")
        if not numbers:
            print(f"{key}: no shard holds a sequence of it")
        _show_row(row)


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


def _draw(shards: TokenShards, number: int, text: TextTokenizer, folder: str) -> str:
    """Write the picture of a dialogue; its path."""
    sequence = shards.read(number)
    codes = list(image_codes(sequence, text.vocab))
    vq = load_vq(shards.manifest) if codes else None
    pixels = [vq.decode(codes_HW[None])[0] for codes_HW in codes if vq]
    strip = draw_strip(shown_turns(cut_into_pieces(sequence, text), pixels))
    path = paths.join(folder, f"{safe_name(sequence.key)}-{safe_name(sequence.task)}-{number}.png")
    paths.commit_bytes(path, to_png(np.asarray(strip)))
    return path


def _show_row(row: dict[str, object] | None) -> None:
    if row is None:
        print("ledger    there is no row of it")
        return
    said = {name: value for name, value in row.items() if value is not None and value != "" and name not in ("key", "caption")}
    print("ledger    " + "\n          ".join(f"{name} {printable(str(value))}" for name, value in said.items()))
    print()
