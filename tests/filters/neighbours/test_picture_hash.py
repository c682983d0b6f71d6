"""The hash is imagehash's, copies of a picture stay near it, and what shows next to nothing has none."""

import io
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from filters.neighbours.picture_hash import picture_hash
from pipeline.images import PictureError, decode_rgb

PHOTOS = sorted((Path(__file__).parents[3] / "examples" / "photos").glob("*.jpg"))[:12]


def encoded(image, kind="PNG", quality=75):
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def distance(one, two):
    return sum((a ^ b).bit_count() for a, b in zip(one, two, strict=True))


def copies(image):
    yield encoded(image, "JPEG", 50)
    yield encoded(image, "WEBP", 80)
    yield encoded(image.resize((image.width * 2 // 3, image.height * 2 // 3)), "JPEG", 85)
    yield encoded(image.resize((image.width // 3, image.height // 3)), "JPEG", 85)


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_copies_are_within_four_bits_and_the_library_s_own_hash_too(path):
    data = path.read_bytes()
    straight, mirrored = picture_hash(data)
    assert distance(straight, bytes.fromhex(str(imagehash.phash(decode_rgb(data))))) <= 2
    for copy in copies(decode_rgb(data)):
        assert distance(picture_hash(copy)[0], straight) <= 4
    mirror = picture_hash(encoded(ImageOps.mirror(decode_rgb(data))))
    assert distance(mirror[0], mirrored) <= 2 and distance(mirror[1], straight) <= 2


def test_other_photographs_are_far_away():
    hashes = [picture_hash(path.read_bytes())[0] for path in PHOTOS]
    assert min(distance(one, two) for n, one in enumerate(hashes) for two in hashes[:n]) >= 16


def test_the_picture_is_upright_first():
    image = decode_rgb(PHOTOS[0].read_bytes())
    exif = Image.Exif()
    exif[274] = 6  # to be turned a quarter clockwise
    buffer = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    assert picture_hash(buffer.getvalue()) == picture_hash(encoded(image))


def drawn(width=300, height=200, ground=255):
    image = Image.new("RGB", (width, height), (ground,) * 3)
    return image, ImageDraw.Draw(image)


def test_one_colour_noise_and_a_gradient_have_no_hash():
    rng = np.random.default_rng(0)
    noise, more = rng.integers(0, 3, (200, 300, 3)).astype(np.uint8), rng.normal(128, 10, (200, 300, 3)).astype(np.uint8)
    gradient = Image.linear_gradient("L").resize((300, 200))
    pictures = [drawn(ground=value)[0] for value in (0, 128, 255)]
    pictures += [Image.fromarray(noise), Image.fromarray(more), gradient, gradient.rotate(180)]
    assert [picture_hash(encoded(picture)) for picture in pictures] == [None] * len(pictures)


def test_a_drawing_has_one():
    page, pen = drawn()
    pen.rectangle((20, 30, 150, 90), fill=0)
    pen.ellipse((180, 110, 280, 190), fill=90)
    assert picture_hash(encoded(page)) is not None


def test_a_broken_picture_is_said_to_be_one():
    with pytest.raises(PictureError, match="broken_image"):
        picture_hash(PHOTOS[0].read_bytes()[:5000])
