"""Scenes as pixels: the picture with smooth edges, and maps of it with hard ones.

image           RGB; edges from masks of four times the size
segmentation    one palette index a pixel: 0 ground, 1 + n the nth of SHAPES, and one more for a person
depth           gray, bright is near: the ground 0, each thing the shade of its own distance
normal          RGB, n = c / 127.5 - 1, x to the right, y up, z to us: the ground faces us, each thing is a plate tilted as its shape says
mask            gray, 255 where an edit changes the picture: the thing as it was and as it is, or all of the ground
subject         RGB: one thing of its own, in the middle of a square
"""

import io
import math
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from pipeline.sources.scene import COLORS, Scene, Thing, changed_thing
from pipeline.sources.scene_people import PERSON, Figure, make_figure
from pipeline.sources.scene_shapes import OUTLINES, RING_HOLE, SHAPES, Point

SUPERSAMPLING = 4
CLASSES = (*SHAPES, PERSON)  # the nth has the index 1 + n on the segmentation map
PALETTE = (0, 0, 0, 230, 25, 75, 60, 180, 75, 255, 225, 25, 0, 130, 200, 245, 130, 48, 145, 30, 180, 70, 240, 240, 240, 50, 230)
PERSON_COLOR = (250, 190, 212)  # of the palette; only where a person is drawn
NEAREST, FARTHEST = 255, 120  # gray values of the depth map
TILT = 35  # degrees between a thing's normal and ours
GRAIN = 0.25  # how strong a texture is: 1 would move a ground's values by up to 128


def draw_image(scene: Scene, width: int, height: int, noise: bytes = b"") -> bytes:
    """The picture as PNG.

    Args:
        noise: width * height random bytes give the ground a texture.
    """
    image = _draw_ground(scene, width, height, noise)
    for thing in scene.things:
        mask, corner = cover(thing, width, height)
        image.paste(COLORS[thing.color], (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)
    return encode_png(image)


def draw_segmentation(scene: Scene, width: int, height: int) -> bytes:
    """The class of each pixel, as PNG with a palette."""
    image = Image.new("L", (width, height))
    for thing in scene.things:
        _stamp(image, thing, 1 + CLASSES.index(thing.shape))
    image.putpalette(PALETTE + (PERSON_COLOR if any(thing.posture for thing in scene.things) else ()))  # makes it mode P, values as indices
    return encode_png(image)


def draw_depth(scene: Scene, width: int, height: int) -> bytes:
    """How near each pixel is, as gray PNG: the larger a thing, the nearer."""
    by_size = sorted(range(len(scene.things)), key=lambda i: -scene.things[i].radius)
    step = (NEAREST - FARTHEST) // 2
    image = Image.new("L", (width, height))
    for index, thing in enumerate(scene.things):
        _stamp(image, thing, NEAREST - step * by_size.index(index))
    return encode_png(image)


def draw_normal(scene: Scene, width: int, height: int) -> bytes:
    """Where each pixel faces, as RGB PNG."""
    image = Image.new("RGB", (width, height), _normal_color((0.0, 0.0, 1.0)))
    for thing in scene.things:
        _stamp(image, thing, _normal_color(normal_of(thing.shape)))
    return encode_png(image)


def normal_of(shape: str) -> tuple[float, float, float]:
    """x to the right, y up, z to us; of unit length. The shapes' directions lie evenly around ours."""
    turn, tilt = 2 * math.pi * CLASSES.index(shape) / len(CLASSES), math.radians(TILT)
    return math.sin(tilt) * math.cos(turn), math.sin(tilt) * math.sin(turn), math.cos(tilt)


def draw_mask(before: Scene, after: Scene, width: int, height: int) -> bytes:
    """Where an edit changes the picture, as gray PNG."""
    index = changed_thing(before, after)
    image = Image.new("L", (width, height), 255 if index is None else 0)
    for thing in before.things if index is None else (before.things[index], after.things[index]):
        _stamp(image, thing, 0 if index is None else 255)
    return encode_png(image)


def draw_subject(thing: Thing, side: int) -> bytes:
    """One thing as large as on the picture, as square PNG: on white, and what is white itself on gray."""
    return draw_image(Scene((replace(thing, x=0.5, y=0.5),), "gray" if thing.color == "white" else "white"), side, side)


def cover(thing: Thing, width: int, height: int) -> tuple[Image.Image, tuple[int, int]]:
    """How much of each pixel a thing covers, and where the mask's top left corner lies."""
    radius = thing.radius * min(width, height)
    x0, y0 = int(thing.x * width - radius), int(thing.y * height - radius)
    side = int(2 * radius) + 2
    mask = Image.new("L", (side * SUPERSAMPLING, side * SUPERSAMPLING))
    x, y, r = ((v * SUPERSAMPLING) for v in (thing.x * width - x0, thing.y * height - y0, radius))
    pen = ImageDraw.Draw(mask)
    if thing.posture is not None:
        _draw_figure(pen, make_figure(thing.posture), (x, y), r)
    elif corners := OUTLINES[thing.shape]:
        pen.polygon([(x + r * cx, y + r * cy) for cx, cy in corners], fill=255)
    else:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    if thing.shape == "ring":
        hole = r * RING_HOLE
        pen.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)
    return mask.reduce(SUPERSAMPLING), (x0, y0)


def encode_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _stamp(image: Image.Image, thing: Thing, value: int | tuple[int, ...]) -> None:
    """Set the pixels of a map that the thing covers by half and more."""
    mask, corner = cover(thing, image.width, image.height)
    hard = mask.point([0] * 128 + [255] * 128)
    image.paste(value, (*corner, corner[0] + mask.width, corner[1] + mask.height), hard)


def _normal_color(normal: tuple[float, float, float]) -> tuple[int, ...]:
    return tuple(round((value + 1) * 127.5) for value in normal)


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


def _draw_figure(pen: ImageDraw.ImageDraw, figure: Figure, middle: Point, radius: float) -> None:
    """Draw a person.

    Args:
        middle: Of the circle around the person, in the pen's pixels, as `radius`.
    """

    def at(point: Point) -> Point:
        return middle[0] + radius * point[0], middle[1] + radius * point[1]

    def disc(point: Point, size: float) -> None:
        (x, y), r = at(point), radius * size
        pen.ellipse((x - r, y - r, x + r, y + r), fill=255)

    disc(figure.head[:2], figure.head[2])
    pen.polygon([at(corner) for corner in figure.body], fill=255)
    for (ax, ay), (bx, by) in figure.bones:
        scale = figure.thickness / math.dist((ax, ay), (bx, by))
        across, along = (ay - by) * scale, (bx - ax) * scale
        sides = ((ax + across, ay + along), (bx + across, by + along), (bx - across, by - along), (ax - across, ay - along))
        pen.polygon([at(corner) for corner in sides], fill=255)
        disc((ax, ay), figure.thickness)
        disc((bx, by), figure.thickness)
