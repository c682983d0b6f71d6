"""Scenes as pixels: the picture with smooth edges, and maps of it with hard ones.

image           RGB; edges from masks of four times the size
segmentation    one palette index a pixel: 0 ground, 1 + n the nth of SHAPES
depth           gray, bright is near: the ground 0, each thing the shade of its own distance
"""

import io

import numpy as np
from PIL import Image, ImageDraw

from pipeline.sources.scene import COLORS, Scene, Thing
from pipeline.sources.scene_shapes import OUTLINES, RING_HOLE, SHAPES

SUPERSAMPLING = 4
PALETTE = (0, 0, 0, 230, 25, 75, 60, 180, 75, 255, 225, 25, 0, 130, 200, 245, 130, 48, 145, 30, 180, 70, 240, 240, 240, 50, 230)
NEAREST, FARTHEST = 255, 120  # gray values of the depth map
GRAIN = 0.25  # how strong a texture is: 1 would move a ground's values by up to 128


def draw_image(scene: Scene, width: int, height: int, noise: bytes = b"") -> bytes:
    """The picture as PNG.

    Args:
        noise: width * height random bytes give the ground a texture.
    """
    image = _draw_ground(scene, width, height, noise)
    for thing in scene.things:
        mask, corner = _mask(thing, width, height)
        image.paste(COLORS[thing.color], (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)
    return _png(image)


def draw_segmentation(scene: Scene, width: int, height: int) -> bytes:
    """The class of each pixel, as PNG with a palette."""
    return _draw_map(scene, width, height, [1 + SHAPES.index(thing.shape) for thing in scene.things], palette=PALETTE)


def draw_depth(scene: Scene, width: int, height: int) -> bytes:
    """How near each pixel is, as gray PNG: the larger a thing, the nearer."""
    by_size = sorted(range(len(scene.things)), key=lambda i: -scene.things[i].radius)
    step = (NEAREST - FARTHEST) // 2
    return _draw_map(scene, width, height, [NEAREST - step * by_size.index(i) for i in range(len(by_size))], palette=())


def _draw_map(scene: Scene, width: int, height: int, values: list[int], palette: tuple[int, ...]) -> bytes:
    image = Image.new("L", (width, height))
    for thing, value in zip(scene.things, values, strict=True):
        mask, corner = _mask(thing, width, height)
        hard = mask.point([0] * 128 + [255] * 128)
        image.paste(value, (*corner, corner[0] + mask.width, corner[1] + mask.height), hard)
    if palette:
        image.putpalette(palette)  # makes it mode P, with the values as indices
    return _png(image)


def _draw_ground(scene: Scene, width: int, height: int, noise: bytes) -> Image.Image:
    top = COLORS[scene.ground]
    if not scene.ground_end and not noise:
        return Image.new("RGB", (width, height), top)
    bottom = COLORS[scene.ground_end or scene.ground]
    down = np.linspace(0, 1, height)[:, None, None]
    pixels = np.array(top) * (1 - down) + np.array(bottom) * down + np.zeros((1, width, 1))
    if noise:
        pixels += (np.frombuffer(noise, np.uint8).reshape(height, width, 1) - 127.5) * GRAIN
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), "RGB")


def _mask(thing: Thing, width: int, height: int) -> tuple[Image.Image, tuple[int, int]]:
    """How much of each pixel a thing covers, and where the mask's top left corner lies."""
    radius = thing.radius * min(width, height)
    x0, y0 = int(thing.x * width - radius), int(thing.y * height - radius)
    side = int(2 * radius) + 2
    mask = Image.new("L", (side * SUPERSAMPLING, side * SUPERSAMPLING))
    x, y, r = ((v * SUPERSAMPLING) for v in (thing.x * width - x0, thing.y * height - y0, radius))
    pen = ImageDraw.Draw(mask)
    if corners := OUTLINES[thing.shape]:
        pen.polygon([(x + r * cx, y + r * cy) for cx, cy in corners], fill=255)
    else:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    if thing.shape == "ring":
        hole = r * RING_HOLE
        pen.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)
    return mask.reduce(SUPERSAMPLING), (x0, y0)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
