"""A dialogue as one picture: each turn's words and images in their order, the answers on a tinted ground.

Words are drawn with the font that comes with Pillow, which knows Latin letters; others show as empty boxes. The text itself is printed
by `mgpt inspect show`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jobs.inspection.dialogue import Piece, printable

WIDTH = 960  # pixels of the whole
MARGIN, GAP = 12, 8  # pixels
LABEL_WIDTH = 84
FONT_SIZE = 15
MAX_SIDE = 176  # of an image in it
GROUNDS = {"user": (255, 255, 255), "assistant": (232, 241, 250)}
INK, SOFT = (24, 28, 33), (98, 102, 109)


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """What one side says: words and pixels [H, W, 3] uint8, in order."""

    role: str
    content: tuple[str | np.ndarray, ...]


def shown_turns(pieces: Sequence[Piece], pixels: Sequence[np.ndarray]) -> list[ShownTurn]:
    """A sequence's turns, with pixels for its images in order."""
    left = iter(pixels)
    turns: list[ShownTurn] = []
    content: list[str | np.ndarray] = []
    for piece in pieces:
        if piece.kind == "text":
            content.append(printable(piece.words))
        elif piece.kind == "image":
            content.append(next(left))
        elif piece.kind == "end of turn":
            turns.append(ShownTurn(piece.speaker, tuple(content)))
            content = []
    return turns


def draw_strip(turns: Sequence[ShownTurn]) -> Image.Image:
    """The dialogue from top to bottom."""
    font = ImageFont.load_default(FONT_SIZE)
    rows = [(turn, _lay_out(turn, font)) for turn in turns]
    heights = [max(bottom for *_, bottom in placed) + 2 * MARGIN for _, placed in rows]
    page = Image.new("RGB", (WIDTH, sum(heights)), GROUNDS["user"])
    pen = ImageDraw.Draw(page)
    top = 0
    for (turn, placed), height in zip(rows, heights, strict=True):
        pen.rectangle((0, top, WIDTH, top + height), fill=GROUNDS.get(turn.role, GROUNDS["user"]))
        pen.text((MARGIN, top + MARGIN), turn.role, font=font, fill=SOFT)
        for thing, x, y, _ in placed:
            if isinstance(thing, str):
                pen.text((x, top + MARGIN + y), thing, font=font, fill=INK)
            else:
                page.paste(thing, (x, top + MARGIN + y))
        top += height
    return page


Placed = tuple[str | Image.Image, int, int, int]  # what, x, y and bottom in pixels, y from the turn's own top


def _lay_out(turn: ShownTurn, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[Placed]:
    """Words and images flow like text, line by line."""
    left, right, line_height = MARGIN + LABEL_WIDTH, WIDTH - MARGIN, FONT_SIZE + 6
    placed: list[Placed] = [("", left, 0, line_height)]
    x, y, bottom = left, 0, line_height
    for part in turn.content:
        for thing in [_shrink(part)] if isinstance(part, np.ndarray) else _words(part):
            if thing == "\n":
                x, y = left, bottom
                continue
            width = int(font.getlength(thing)) if isinstance(thing, str) else thing.width + GAP
            height = line_height if isinstance(thing, str) else thing.height + GAP
            if x + width > right and x > left:
                x, y = left, bottom
            placed.append((thing, x, y, y + height))
            x, bottom = x + width, max(bottom, y + height)
    return placed


def _words(text: str) -> list[str]:
    """Words with the space behind them, and line breaks as words of their own."""
    words: list[str] = []
    for number, line in enumerate(text.split("\n")):
        words += (["\n"] if number else []) + [word + " " for word in line.split(" ") if word]
    return words


def _shrink(pixels_HWC: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels_HWC)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return image
