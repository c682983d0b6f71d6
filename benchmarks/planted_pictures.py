"""Pictures that should not be trained on, drawn or made from a photograph, each class in several kinds.

PLANTERS: class -> kind -> (photograph, generator) -> picture        photographs are upright RGB, about 300 to 640 pixels wide
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from benchmarks.planted_screens import SCREENS

Planter = Callable[[Image.Image, np.random.Generator], Image.Image]
_TEXT = "SALE limited offer 50% off today only buy now best price free shipping new collection follow us like share subscribe"
WORDS = _TEXT.split()


def variant(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Another good picture from the same photograph: a part of it, perhaps mirrored, with mildly changed light and colour."""
    share = rng.uniform(0.6, 1.0)
    width, height = round(photo.width * share), round(photo.height * share)
    x, y = int(rng.integers(0, photo.width - width + 1)), int(rng.integers(0, photo.height - height + 1))
    part = photo.crop((x, y, x + width, y + height))
    if rng.random() < 0.5:
        part = ImageOps.mirror(part)
    part = ImageEnhance.Brightness(part).enhance(rng.uniform(0.85, 1.15))
    part = ImageEnhance.Color(part).enhance(rng.uniform(0.7, 1.3) if rng.random() < 0.9 else 0.0)
    return ImageEnhance.Contrast(part).enhance(rng.uniform(0.9, 1.1))


def _one_colour(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    return Image.new("RGB", photo.size, _colour(rng))


def _white_or_black(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    return Image.new("RGB", photo.size, "white" if rng.random() < 0.5 else "black")


def _noisy(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    noise = rng.normal(0, rng.uniform(1, 4), (photo.height, photo.width, 3))
    return _clipped(np.array(_colour(rng)) + noise)


def _faint_gradient(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    ramp = np.linspace(0, rng.uniform(8, 28), photo.width)[None, :, None]
    return _clipped(np.full((photo.height, photo.width, 3), np.array(_colour(rng)) * 0.85) + ramp)


def _nearly_covered(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A lens cap, a white-out: 2 % of the photograph shimmer through."""
    return Image.blend(photo, Image.new("RGB", photo.size, "black" if rng.random() < 0.5 else "white"), 0.98)


def _gaussian(sigma: float) -> Planter:
    """Sigma in pixels."""
    return lambda photo, rng: photo.filter(ImageFilter.GaussianBlur(sigma))


def _shaken(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Moved along a diagonal by 3 % of the shorter side, and a little out of focus."""
    pixels = np.asarray(photo.filter(ImageFilter.GaussianBlur(1.2)), np.float32)
    steps = round(min(photo.size) * 0.03)
    moved = sum(np.roll(pixels, (step, step), (0, 1)) for step in range(steps)) / steps
    return _clipped(moved[steps:, steps:])


def _enlarged(factor: int) -> Planter:
    def plant(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
        return photo.resize((photo.width // factor, photo.height // factor), Image.Resampling.BOX).resize(
            photo.size, Image.Resampling.BICUBIC
        )

    return plant


def _bars(sides: tuple[int, int, int, int], coloured: bool = False) -> Planter:
    """Bars that take 27 to 50 % of the picture. `sides`: whether there is one left, top, right, below."""

    def plant(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
        share = rng.uniform(0.27, 0.5)
        across, along = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
        scale = 1 / (1 - share) if not across or not along else 1 / np.sqrt(1 - share)
        x, y = photo.width * (scale - 1) / 2 if across else 0.0, photo.height * (scale - 1) / 2 if along else 0.0
        one_sided = 2 if sum(sides) == 1 else 1
        border = tuple(int(np.ceil(there * size * one_sided)) for there, size in zip(sides, (x, y, x, y), strict=True))
        return ImageOps.expand(photo, border, _colour(rng) if coloured else _black_or_white(photo, rng))

    return plant


def _black_or_white(photo: Image.Image, rng: np.random.Generator) -> tuple[int, int, int]:
    """One of both, but not the one in which the photograph ends by itself: a black bar at a black sky is more sky."""
    pixels = np.asarray(photo.convert("L"))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    choices = [level for level in (0, 255) if (abs(edge.astype(int) - level) < 32).mean() < 0.3]
    level = int(rng.choice(choices or [128]))
    return level, level, level


def _caption_burnt_in(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = photo.copy()
    draw, size = ImageDraw.Draw(image), max(14, photo.height // 9)
    font = ImageFont.load_default(size)
    for line in range(4):
        words = " ".join(rng.choice(WORDS, 4))
        draw.text((photo.width * 0.04, line * size * 2.2 + size / 2), words, "white", font, stroke_width=2, stroke_fill="black")
    return image


def _meme(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = photo.copy()
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(photo.height // 7)
    for y in (0.02, 0.8):
        words = " ".join(rng.choice(WORDS, 2)).upper()
        draw.text((photo.width / 2, photo.height * y), words, "white", font, anchor="ma", stroke_width=3, stroke_fill="black")
    return image


PLANTERS: dict[str, dict[str, Planter]] = {
    "blank": {"white or black": _white_or_black, "one colour": _one_colour},
    "near_solid": {"noise": _noisy, "faint gradient": _faint_gradient, "nearly covered": _nearly_covered},
    "blurred": {
        "sigma 2": _gaussian(2),
        "sigma 3": _gaussian(3),
        "sigma 5": _gaussian(5),
        "shaken": _shaken,
        "enlarged 8 times": _enlarged(8),
    },
    "soft": {
        "sigma 1": _gaussian(1),
        "sigma 1.5": _gaussian(1.5),
        "enlarged 2 times": _enlarged(2),
        "enlarged 4 times": _enlarged(4),
    },
    "bordered": {
        "letterbox": _bars((0, 1, 0, 1)),
        "pillarbox": _bars((1, 0, 1, 0)),
        "frame": _bars((1, 1, 1, 1)),
        "coloured frame": _bars((1, 1, 1, 1), coloured=True),
        "one bar": _bars((0, 0, 0, 1), coloured=True),
    },
    "screenshot": SCREENS,
    "text_laden": {"advertisement": _caption_burnt_in, "meme": _meme},
}


def slightly_cropped(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    x, y = round(photo.width * 0.02), round(photo.height * 0.02)
    return photo.crop((x, y, photo.width - x, photo.height - y))


def resized(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    scale = rng.uniform(0.6, 0.9)
    return photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)


def colour_shifted(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _clipped(np.asarray(photo, np.float32) * rng.uniform(0.92, 1.08, 3))


def unchanged(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """To be encoded again, at another quality."""
    return photo


COPIES: dict[str, dict[str, Planter]] = {
    "near_duplicate": {"resized": resized, "recompressed": unchanged, "colour shifted": colour_shifted},
    "cropped_duplicate": {"slightly cropped": slightly_cropped},
}


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _clipped(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
