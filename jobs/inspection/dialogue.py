"""A token sequence in words: its turns, with text decoded and images collapsed, and the ids around each border."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.samples import ImageSpan, TokenSequence
from tokenizer.layout import NUM_HEAD, image_length
from tokenizer.text import TextTokenizer

NEAR = 3  # ids that are shown on each side of a border


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one kind."""

    kind: str  # "begin", "text", "image" or "end of turn"
    start: int
    stop: int
    words: str  # the text, or the image collapsed
    speaker: str  # "user" or "assistant"; "" for the begin of the sequence


def cut_into_pieces(sequence: TokenSequence, text: TextTokenizer) -> list[Piece]:
    """Everything in a sequence, in order. A sequence that breaks the grammar is shown as far as it goes."""
    vocab, ids = text.vocab, sequence.input_ids
    images = {image.start: image for image in sequence.images}
    pieces: list[Piece] = []
    position, turn = 0, 0

    def add(kind: str, stop: int, words: str) -> None:
        pieces.append(Piece(kind, position, stop, words, "" if kind == "begin" else ("user", "assistant")[turn % 2]))

    while position < len(ids):
        if position == 0 and ids[0] == vocab.bos:
            stop = 1
            add("begin", stop, "")
        elif position in images:
            image = images[position]
            stop = min(position + image_length(image.height, image.width), len(ids))
            add("image", stop, collapse(image))
        elif ids[position] == vocab.end_of_turn:
            stop = position + 1
            add("end of turn", stop, "")
            turn += 1
        else:
            stop = position
            while stop < len(ids) and stop not in images and ids[stop] != vocab.end_of_turn:
                stop += 1
            add("text", stop, text.decode(ids[position:stop].tolist()))
        position = stop
    return pieces


def collapse(image: ImageSpan) -> str:
    """An image in a line of text: width x height in pixels, and the position of its start."""
    return f"⟨image {image.width}x{image.height} @{image.start}⟩"


def printable(text: str) -> str:
    """Text as a terminal may show it: line breaks stay, other control characters are spelled out."""
    return "".join(char if char.isprintable() or char == "\n" else char.encode("unicode_escape", "replace").decode() for char in text)


def dialogue_lines(pieces: list[Piece], spans: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """The turns, one after the other; a bar stands beside what takes loss."""
    speaker, turn, takes_loss = "", "", False
    for piece in pieces:
        if piece.kind == "begin":
            continue
        speaker, takes_loss = piece.speaker, any(start <= piece.start < stop for start, stop in spans)
        if piece.kind != "end of turn":
            turn += piece.words
            continue
        yield from _turn_lines(speaker, turn, takes_loss)
        turn = ""
    if turn:
        yield from _turn_lines(speaker, turn, takes_loss)


def border_lines(sequence: TokenSequence, pieces: list[Piece]) -> Iterator[str]:
    """A line for each place where one kind ends and another begins: its position, what begins, the ids on both sides."""
    ids = sequence.input_ids
    for piece in pieces:
        before = " ".join(str(token_id) for token_id in ids[max(0, piece.start - NEAR) : piece.start])
        shown = NEAR + NUM_HEAD if piece.kind == "image" else NEAR
        after = " ".join(str(token_id) for token_id in ids[piece.start : piece.start + shown])
        loss = "▌" if any(start <= piece.start < stop for start, stop in sequence.loss_spans) else " "
        count = piece.stop - piece.start
        name = f"{piece.kind}, {count} tokens" if count > 1 else piece.kind
        yield f"{piece.start:>8} {loss} {name:<20} {before:>20} │ {after}"


def _turn_lines(speaker: str, turn: str, takes_loss: bool) -> Iterator[str]:
    mark = "▌" if takes_loss else " "
    for number, line in enumerate(printable(turn).split("\n")):
        yield f"{speaker if number == 0 else '':<10}{mark} {line}"
