"""Pages of text, lines and gradients for the VQGAN's trainer: python examples/bundled_vq/draw_pages.py FOLDER COUNT

Words are drawn from the project's own English (README and docs), in the font that ships with Pillow.
"""

import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 512


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    root = Path(__file__).resolve().parents[2]
    texts = [path.read_text() for path in (root / "README.md", root / "docs" / "format.md", root / "docs" / "performance.md")]
    words = re.findall(r"[A-Za-z0-9.,;:!?()'-]+", " ".join(texts))
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        rng = np.random.default_rng((1, i))
        page = _gradient(rng) if i % 4 == 0 else _page(words, rng)
        page.save(folder / f"page_{i:04d}.png")


def _gradient(rng: np.random.Generator) -> Image.Image:
    """Two or three colours that melt into each other, along a line or around a point."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle = rng.random() * 2 * np.pi
    center = rng.random(2)
    t = np.hypot(x - center[0], y - center[1]) if rng.random() < 0.4 else x * np.cos(angle) + y * np.sin(angle)
    t = (t - t.min()) / (t.max() - t.min())
    stops = np.sort(rng.random(3))
    stops[0], stops[-1] = 0, 1
    colors = rng.random((3, 3)) * 255
    return Image.fromarray(np.stack([np.interp(t, stops, colors[:, c]) for c in range(3)], -1).round().astype(np.uint8))


def _page(words: list[str], rng: np.random.Generator) -> Image.Image:
    """Lines of one size on paper, on a colour or on a gradient."""
    paper = _gradient(rng) if rng.random() < 0.2 else Image.new("RGB", (SIDE, SIDE), _color(rng, rng.random() < 0.5))
    dark_paper = np.asarray(paper.convert("L")).mean() < 128
    ink = tuple(int(v) for v in (rng.integers(190, 256, 3) if dark_paper else rng.integers(0, 70, 3)))
    draw = ImageDraw.Draw(paper)
    y = int(rng.integers(0, 40))
    size = int(rng.choice([12, 16, 22, 30, 44, 64, 96]))
    while y < SIDE:
        if rng.random() < 0.1:
            size = int(rng.choice([12, 16, 22, 30, 44, 64, 96]))
        x = int(rng.integers(0, 30))
        font = ImageFont.load_default(size)
        while x < SIDE:
            word = words[rng.integers(len(words))]
            draw.text((x, y), word, fill=ink, font=font)
            x += int(draw.textlength(word + " ", font=font))
        y += int(size * rng.uniform(1.15, 1.7))
        if rng.random() < 0.08:
            draw.line((0, y, SIDE, y), fill=ink, width=int(rng.integers(1, 5)))
            y += 8
    return paper


def _color(rng: np.random.Generator, white: bool) -> tuple[int, ...]:
    return (255, 255, 255) if white else tuple(int(v) for v in rng.integers(0, 256, 3))


if __name__ == "__main__":
    main()
