"""Picture files that are broken in all the ways seen in the field, and odd ones that are fine. Made in memory, seeded."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

SIZE = (64, 48)  # width, height of the pictures that are fine, and of the broken ones before they broke


def gradient(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """[height, width, 3] uint8: red grows to the right, green downwards, blue is a checkerboard."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x // 8 + y // 8) % 2 * 200], axis=2).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(kind: str = "JPEG", **options: object) -> bytes:
    return encode(Image.fromarray(gradient()), kind, **options)


def noise(num_bytes: int) -> bytes:
    return random.Random(7).randbytes(num_bytes)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header claims width x height pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def jpeg_cut_in_header() -> bytes:
    data = picture()
    return data[: data.index(b"\xff\xdb") + 20]  # within the first quantisation table


def jpeg_header_alone() -> bytes:
    data = picture()
    return data[: data.index(b"\xff\xda")]  # up to the scan


def png_with_bad_crc() -> bytes:
    data = bytearray(picture("PNG"))
    place = data.index(b"IDAT") + 8
    data[place : place + 40] = noise(40)
    return bytes(data)


def png_with_bad_header_crc() -> bytes:
    data = bytearray(picture("PNG"))
    data[data.index(b"IHDR") + 4 + 13] ^= 0xFF
    return bytes(data)


def bmp_that_claims_more() -> bytes:
    data = bytearray(picture("BMP"))
    data[18:26] = struct.pack("<ii", 4000, 4000)
    return bytes(data)


def zip_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.jpg"), picture())
    return buffer.getvalue()


def html() -> bytes:
    return b"<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head><body>Forbidden</body></html>"


# name -> how to make it, and the reason with which it ends in the ledger
BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty_file"),
    "one_byte": (lambda: b"\xff", "not_an_image"),
    "jpeg_cut_in_header": (jpeg_cut_in_header, "broken_header"),
    "jpeg_header_alone": (jpeg_header_alone, "broken_image"),
    "jpeg_cut_in_the_middle": (lambda: picture()[: len(picture()) * 6 // 10], "broken_image"),
    "jpeg_cut_near_the_end": (lambda: picture()[:-40], "broken_image"),
    "png_cut": (lambda: picture("PNG")[: len(picture("PNG")) // 2], "broken_image"),
    "png_bad_crc": (png_with_bad_crc, "broken_image"),
    "png_bad_header_crc": (png_with_bad_header_crc, "not_an_image"),
    "png_bomb": (lambda: png_bomb(50_000, 50_000), "too_many_pixels"),
    "png_without_pixels": (lambda: png_bomb(0, 0), "not_an_image"),
    "gif_cut": (lambda: picture("GIF")[:900], "broken_image"),
    "webp_cut": (lambda: picture("WEBP")[:200], "broken_header"),
    "tiff_junk": (lambda: b"II*\x00\x08\x00\x00\x00" + noise(300), "not_an_image"),
    "tiff_cut": (lambda: picture("TIFF")[:2000], "broken_image"),
    "bmp_that_claims_more": (bmp_that_claims_more, "broken_image"),
    "html": (html, "not_an_image"),
    "text": (lambda: b"404: not found\n", "not_an_image"),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "not_an_image"),
    "random_bytes": (lambda: noise(5000), "not_an_image"),
    "postscript": (lambda: picture("EPS"), "not_an_image"),
    "photoshop": (lambda: b"8BPS\x00\x01" + bytes(20), "not_an_image"),
    "zip": (zip_archive, "not_an_image"),
    "json": (lambda: b'{"error": "gone"}', "not_an_image"),
}


def deep_gray() -> bytes:
    """16-bit gray PNG: 0 at the left, 65535 at the right."""
    values = np.linspace(0, 65_535, SIZE[0]).round().astype(np.uint16)
    return encode(Image.fromarray(np.tile(values, (SIZE[1], 1))), "PNG")


def palette_with_transparency() -> bytes:
    image = Image.fromarray(gradient()).quantize(32)
    image.info["transparency"] = 0
    return encode(image, "PNG", transparency=0)


def with_alpha(mode: str) -> bytes:
    """Left half transparent, right half opaque."""
    image = Image.fromarray(gradient()).convert(mode)
    alpha = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    alpha[:, SIZE[0] // 2 :] = 255
    image.putalpha(Image.fromarray(alpha))
    return encode(image, "PNG")


def turned(orientation: int) -> bytes:
    """A JPEG that EXIF turns: shown by a viewer it is `gradient()` again."""
    methods = {
        2: "FLIP_LEFT_RIGHT",
        3: "ROTATE_180",
        4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE",
        6: "ROTATE_90",
        7: "TRANSVERSE",
        8: "ROTATE_270",
    }
    image = Image.fromarray(gradient())
    if orientation in methods:
        image = image.transpose(getattr(Image.Transpose, methods[orientation]))
    exif = Image.Exif()
    exif[274] = orientation
    return encode(image, "JPEG", exif=exif.tobytes(), quality=95, subsampling=0)


def animated() -> bytes:
    frames = [Image.fromarray(np.roll(gradient(), shift, axis=1)) for shift in (0, 20, 40)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


ODD: dict[str, Callable[[], bytes]] = {  # fine: an upright RGB picture of SIZE comes out
    "jpeg": picture,
    "progressive_jpeg": lambda: picture(progressive=True),
    "gray_jpeg": lambda: encode(Image.fromarray(gradient()).convert("L"), "JPEG"),
    "cmyk_jpeg": lambda: encode(Image.fromarray(gradient()).convert("CMYK"), "JPEG"),
    "png": lambda: picture("PNG"),
    "deep_gray_png": deep_gray,
    "palette_png": lambda: encode(Image.fromarray(gradient()).quantize(64), "PNG"),
    "palette_png_with_transparency": palette_with_transparency,
    "bilevel_png": lambda: encode(Image.fromarray(gradient()).convert("1"), "PNG"),
    "gray_alpha_png": lambda: with_alpha("L"),
    "rgba_png": lambda: with_alpha("RGB"),
    "turned_jpeg": lambda: turned(6),
    "webp": lambda: picture("WEBP"),
    "bmp": lambda: picture("BMP"),
    "tiff": lambda: picture("TIFF"),
    "gif": lambda: picture("GIF"),
    "animated_gif": animated,
}
