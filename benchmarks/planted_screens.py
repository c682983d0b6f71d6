"""Screenshots and pages of text, drawn: windows, code, tables, a chat, a web page with a photograph on it.

All letters are Pillow's own font, so that a set is the same on every machine.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

Rng = np.random.Generator
_TEXT = """
the of and to in is that it was for on are with as his they at be this from have or by one had not but what all were when we there
can an your which their said if do will each about how up out them then she many some so these would other into has more her two
settings account window file edit view help search profile message order total price date name address report summary version
"""
WORDS = _TEXT.split()
SIZE = (640, 480)  # pixels


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _sentence(rng: Rng, count: int) -> str:
    return " ".join(rng.choice(WORDS, count)).capitalize()


def _paragraph(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], rng: Rng, size: int, fill: str) -> None:
    """Lines of words from the top of the box to its bottom, ragged at the right."""
    x0, y0, x1, y1 = box
    for y in range(y0, y1 - size, round(size * 1.45)):
        line = _sentence(rng, 30)
        while draw.textlength(line, _font(size)) > (x1 - x0) * rng.uniform(0.85, 1.0):
            line = line.rpartition(" ")[0]
        draw.text((x0, y), line, fill, _font(size))


def page(photo: Image.Image, rng: Rng) -> Image.Image:
    """A page of text."""
    image = Image.new("RGB", (480, 640), rng.choice(["white", "#fdf6e3", "#f4f4f4"]))
    draw, size = ImageDraw.Draw(image), int(rng.integers(11, 16))
    draw.text((40, 30), _sentence(rng, 4), "black", _font(size * 2))
    _paragraph(draw, (40, 40 + size * 3, 440, 610), rng, size, "black")
    return image


def window(photo: Image.Image, rng: Rng) -> Image.Image:
    """A window with a menu, a list at the left, fields and buttons."""
    dark = rng.random() < 0.4
    ground, ink, panel = ("#2b2b2b", "#dddddd", "#3c3f41") if dark else ("#f0f0f0", "#202020", "#ffffff")
    image = Image.new("RGB", SIZE, ground)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 640, 26), rng.choice(["#0a64ad", "#444444", "#dfe3e8"]))
    draw.text((8, 5), _sentence(rng, 3), "white", _font(13))
    draw.text((8, 31), "   ".join(rng.choice(WORDS, 6)), ink, _font(12))
    draw.rectangle((6, 52, 170, 470), panel, "#888888")
    for row in range(int(rng.integers(8, 18))):
        draw.text((14, 58 + row * 22), _sentence(rng, 2), ink, _font(12))
    for row in range(int(rng.integers(4, 9))):
        draw.text((190, 66 + row * 40), _sentence(rng, 1), ink, _font(12))
        draw.rectangle((280, 60 + row * 40, 610, 84 + row * 40), panel, "#888888")
        draw.text((286, 65 + row * 40), _sentence(rng, 4), ink, _font(12))
    for number in range(2):
        draw.rounded_rectangle((420 + number * 100, 436, 510 + number * 100, 462), 4, "#0a64ad")
        draw.text((440 + number * 100, 441), _sentence(rng, 1), "white", _font(12))
    return image


def code(photo: Image.Image, rng: Rng) -> Image.Image:
    """A terminal or an editor."""
    dark = rng.random() < 0.6
    ground = "#1e1e1e" if dark else "white"
    inks = ["#d4d4d4", "#569cd6", "#6a9955", "#ce9178"] if dark else ["#222222", "#0000aa", "#008800"]
    image = Image.new("RGB", SIZE, ground)
    draw = ImageDraw.Draw(image)
    for row in range(28):
        x = 40 + 20 * int(rng.integers(0, 4))
        draw.text((8, 8 + row * 17), f"{row + 1}", "#858585", _font(12))
        for _ in range(int(rng.integers(0, 7))):
            word = str(rng.choice(WORDS)) + str(rng.choice(["", "(", ")", " =", ":", "[0]"]))
            draw.text((x, 8 + row * 17), word, rng.choice(inks), _font(12))
            x += int(draw.textlength(word + " ", _font(12)))
    return image


def table(photo: Image.Image, rng: Rng) -> Image.Image:
    """A spreadsheet."""
    image = Image.new("RGB", SIZE, "white")
    draw, width = ImageDraw.Draw(image), int(rng.integers(70, 120))
    draw.rectangle((0, 0, 640, 24), "#217346")
    for row in range(1, 21):
        for column in range(640 // width + 1):
            box = (column * width, row * 23, (column + 1) * width, (row + 1) * 23)
            draw.rectangle(box, "#e6e6e6" if row == 1 or column == 0 else "white", "#c8c8c8")
            if rng.random() < 0.7:
                draw.text((box[0] + 4, box[1] + 5), f"{rng.uniform(0, 9999):.2f}" if column else _sentence(rng, 1), "black", _font(12))
    return image


def chat(photo: Image.Image, rng: Rng) -> Image.Image:
    """A conversation on a telephone."""
    image = Image.new("RGB", (360, 640), rng.choice(["#e5ddd5", "white", "#0b141a"]))
    draw, y = ImageDraw.Draw(image), 60
    draw.rectangle((0, 0, 360, 48), "#075e54")
    draw.text((16, 14), _sentence(rng, 2), "white", _font(16))
    while y < 590:
        lines, mine = int(rng.integers(1, 4)), rng.random() < 0.5
        left = 90 if mine else 12
        draw.rounded_rectangle((left, y, left + 250, y + 14 + lines * 19), 8, "#dcf8c6" if mine else "#f7f7f7")
        for line in range(lines):
            draw.text((left + 10, y + 6 + line * 19), _sentence(rng, 5)[:36], "#111111", _font(13))
        y += lines * 19 + 26
    return image


def web_page(photo: Image.Image, rng: Rng) -> Image.Image:
    """A page in a browser with the photograph on it, on a fifth of its area."""
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 640, 54), "#dee1e6")
    draw.rounded_rectangle((80, 28, 560, 48), 10, "white")
    draw.text((92, 31), "www." + "".join(rng.choice(WORDS, 2)) + ".example", "#333333", _font(12))
    draw.text((24, 66), _sentence(rng, 4), "black", _font(26))
    picture = ImageOps.fit(photo, (280, 210))
    image.paste(picture, (24, 110))
    _paragraph(draw, (320, 110, 620, 330), rng, 13, "#222222")
    _paragraph(draw, (24, 334, 620, 470), rng, 13, "#222222")
    return image


SCREENS: dict[str, Callable[[Image.Image, Rng], Image.Image]] = {
    "page": page,
    "window": window,
    "code": code,
    "table": table,
    "chat": chat,
    "web page": web_page,
}
