"""Encoded pictures: broken ones are refused by name, odd ones come out as upright RGB, crops have the right size and place."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline import images
from pipeline.images import (
    PictureError,
    apply_crop,
    decode_map,
    decode_rgb,
    decode_thumbnail,
    have_same_shape,
    plan_crop,
    read_header,
    to_rgb,
)
from tests.broken_pictures import BROKEN, ODD, SIZE, deep_gray, encode, gradient, picture, png_bomb, png_chunk, turned, with_alpha


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_picture_is_refused_with_its_reason(name):
    make, reason = BROKEN[name]
    with pytest.raises(PictureError) as caught:
        read_header(make())
        decode_rgb(make())
    assert caught.value.reason == reason
    for decode in (decode_rgb, lambda data: decode_thumbnail(data, 16)):
        with pytest.raises(PictureError) as caught:
            decode(make())
        assert caught.value.reason == reason


def test_an_html_page_is_called_one():
    with pytest.raises(PictureError, match="an HTML page"):
        read_header(BROKEN["html"][0]())


@pytest.mark.parametrize("name", ODD)
def test_every_odd_picture_comes_out_as_upright_rgb(name):
    data = ODD[name]()
    header, decoded = read_header(data), decode_rgb(data)
    assert (decoded.mode, decoded.size) == ("RGB", SIZE)
    assert (header.width, header.height, header.num_bytes) == (*SIZE, len(data))
    assert decode_thumbnail(data, 24).size == (32, 24)


@pytest.mark.parametrize(
    "name", ["jpeg", "progressive_jpeg", "cmyk_jpeg", "png", "palette_png", "webp", "bmp", "tiff", "gif", "animated_gif"]
)
def test_colours_survive_the_conversion(name):
    difference = np.abs(np.asarray(decode_rgb(ODD[name]()), np.int16) - gradient())
    assert difference.mean() < 12  # JPEG's chroma and a palette of 64 are that far off; swapped or inverted channels are over 60


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation):
    data = turned(orientation)
    header = read_header(data)
    assert (header.orientation, header.width, header.height) == (orientation, *SIZE)
    assert np.abs(np.asarray(decode_rgb(data), np.int16) - gradient()).mean() < 3
    assert decode_thumbnail(data, 24).size == (32, 24)


@pytest.mark.parametrize("behind_the_pixels", [False, True])
def test_a_png_is_turned_wherever_its_exif_stands(behind_the_pixels):
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6
    chunk = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    data = encode(Image.fromarray(gradient()).transpose(Image.Transpose.ROTATE_90), "PNG")
    place = len(data) - 12 if behind_the_pixels else data.index(b"IDAT") - 4
    data = data[:place] + chunk + data[place:]
    header = read_header(data)
    assert (header.orientation, header.width, header.height) == (6, *SIZE)
    assert (np.asarray(decode_rgb(data)) == gradient()).all()


def test_an_orientation_that_does_not_exist_is_upright():
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 9
    data = picture(exif=exif.tobytes())
    assert read_header(data).orientation == 1
    assert decode_rgb(data).size == SIZE


def test_the_header_is_read_without_decoding_pixels():
    data = bytearray(picture("PNG"))
    place = data.index(b"IDAT") + 8
    data[place : place + 20] = bytes(20)  # pixels that cannot be decoded
    assert read_header(bytes(data)).width == SIZE[0]


@pytest.mark.parametrize(("size", "fine"), [((13_377, 13_377), True), ((13_378, 13_378), False)])
def test_the_bomb_bound_is_read_from_the_header(size, fine):
    data = png_bomb(*size)
    if fine:
        assert read_header(data).width == size[0]
    else:
        with pytest.raises(PictureError, match="178956970"):
            read_header(data)


def test_frames_are_counted_but_the_further_pictures_of_an_mpo_are_none():
    assert read_header(ODD["animated_gif"]()).num_frames == 3
    image = Image.fromarray(gradient())
    header = read_header(encode(image, "MPO", save_all=True, append_images=[image.convert("L")]))
    assert (header.format, header.num_frames) == ("MPO", 1)


def test_an_animation_shows_its_first_frame():
    assert np.abs(np.asarray(decode_rgb(ODD["animated_gif"]()), np.int16) - gradient()).mean() < 12


def test_deep_gray_is_scaled_not_clipped():
    row = np.asarray(decode_rgb(deep_gray()))[0, :, 0]
    assert row.tolist() == [round(x * 255 / (SIZE[0] - 1)) for x in range(SIZE[0])]


@pytest.mark.parametrize(
    ("mode", "values", "wanted"),
    [("F", [0.0, 0.5, 1.0], [0, 128, 255]), ("F", [0.0, 100.0, 300.0], [0, 100, 255]), ("I", [0, 32_896, 65_535], [0, 128, 255])],
)
def test_floats_and_integers_become_gray(mode, values, wanted):
    array = np.array([values], np.float32 if mode == "F" else np.int32)
    assert np.asarray(to_rgb(Image.fromarray(array)))[0, :, 1].tolist() == wanted


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_alpha_is_laid_over_white(mode):
    pixels = np.asarray(decode_rgb(with_alpha(mode)))
    opaque = np.asarray(Image.fromarray(gradient()).convert(mode).convert("RGB"))
    half = SIZE[0] // 2
    assert (pixels[:, :half] == 255).all()
    assert (pixels[:, half:] == opaque[:, half:]).all()


def test_half_transparent_pixels_are_truncated_as_in_the_reference():
    image = Image.new("RGBA", (1, 1), (10, 20, 30, 128))
    alpha = 128 / 255
    assert to_rgb(image).getpixel((0, 0)) == tuple(int(c * alpha + 255 * (1 - alpha)) for c in (10, 20, 30))


def test_tall_pictures_are_blended_in_bands_without_a_seam():
    rgba = np.random.default_rng(0).integers(0, 256, (2 * images.BAND + 10, 8, 4), dtype=np.uint8)
    rgba[: images.BAND, :, 3] = 255  # a band without anything to blend
    alpha = rgba[..., 3:] / 255
    assert (np.asarray(to_rgb(Image.fromarray(rgba))) == (rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)).all()


def test_the_transparent_colour_of_a_palette_becomes_white():
    pixels = np.asarray(decode_rgb(ODD["palette_png_with_transparency"]()))
    indices = np.asarray(Image.open(io.BytesIO(ODD["palette_png_with_transparency"]())))
    assert (pixels[indices == 0] == 255).all() and (indices == 0).any()


@pytest.mark.parametrize(
    ("size", "crop_size", "scaled", "corner"),
    [
        ((512, 512), (512, 512), (512, 512), (0, 0)),
        ((600, 400), (256, 256), (384, 256), (64, 0)),
        ((400, 600), (256, 256), (256, 384), (0, 64)),
        ((2000, 1000), (512, 256), (512, 256), (0, 0)),
        ((100, 100), (256, 128), (256, 256), (0, 64)),
        ((1025, 513), (256, 256), (512, 256), (128, 0)),  # halved once, remainders dropped
    ],
)
def test_a_crop_covers_its_size_and_is_cut_from_the_middle(size, crop_size, scaled, corner):
    crop = plan_crop(size, crop_size)
    assert (crop.scaled_width, crop.scaled_height, crop.x, crop.y) == (*scaled, *corner)
    assert apply_crop(Image.new("RGB", size), crop).size == crop_size


@pytest.mark.parametrize(("at", "corner"), [((0.0, 0.0), (0, 0)), ((0.5, 0.5), (64, 0)), ((1.0, 1.0), (128, 0))])
def test_the_cut_lies_where_it_is_asked_for(at, corner):
    crop = plan_crop((384, 256), (256, 256), at)
    assert (crop.x, crop.y) == corner
    image = Image.fromarray(np.tile(np.arange(384, dtype=np.uint16).astype(np.uint8), (256, 1))).convert("RGB")
    assert np.asarray(apply_crop(image, crop))[0, 0, 0] == corner[0]


def test_the_box_of_a_crop_is_in_pixels_of_the_original():
    assert plan_crop((768, 512), (256, 256)).box(768, 512) == (128, 0, 640, 512)
    assert plan_crop((256, 256), (256, 256)).box(256, 256) == (0, 0, 256, 256)


def test_pictures_of_every_size_are_covered():
    for width in range(1, 130, 7):
        for height in range(1, 130, 11):
            crop = plan_crop((width, height), (64, 32))
            assert apply_crop(Image.new("RGB", (width, height)), crop).size == (64, 32)


def test_a_thumbnail_is_never_enlarged():
    assert decode_thumbnail(picture(), 400).size == SIZE
    assert min(decode_thumbnail(picture(), 8).size) == 8


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_map_is_refused_with_its_reason(name):
    make, reason = BROKEN[name]
    with pytest.raises(PictureError) as caught:
        decode_map(make())
    assert caught.value.reason == reason


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_map_comes_out_upright(orientation):
    assert np.abs(np.asarray(decode_map(turned(orientation)), np.int16) - gradient()).mean() < 3


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "PNG"), ("P", "PNG"), ("1", "PNG"), ("I;16", "PNG"), ("I", "TIFF"), ("F", "TIFF"), ("RGBA", "PNG"), ("LA", "PNG")],
)
def test_a_map_keeps_its_mode_and_values(mode, kind):
    image = Image.new(mode, (3, 2), 0 if mode not in ("RGBA", "LA") else (1, 2, 3, 0)[-len(mode) :])
    image.putpixel((1, 1), {"I;16": 60_000, "I": 100_000, "F": 0.25, "RGBA": (9, 8, 7, 0), "LA": (9, 0)}.get(mode, 1))
    decoded = decode_map(encode(image, kind))
    assert decoded.mode == mode
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(image))


@pytest.mark.parametrize(
    ("size", "same"),
    [((600, 401), True), ((600, 402), False), ((301, 199), True), ((300, 199), True), ((300, 202), False), ((302, 199), False)],
)
def test_rounding_may_cost_a_pixel_of_the_smaller_one(size, same):
    assert have_same_shape((600, 400), size) is have_same_shape(size, (600, 400)) is same


@pytest.mark.parametrize("size, side, wanted", [((400, 300), 100, (100, 75)), ((401, 299), 101, (201, 150)), ((64, 400), 50, (8, 50))])
def test_a_jpeg_of_which_little_is_wanted_is_decoded_small_and_never_below_that(size, side, wanted):
    smooth = Image.fromarray(gradient(*size) * np.array([1, 1, 0], np.uint8))
    data = encode(smooth, "JPEG")
    small = images.decode_rgb(data, longer_side=side)
    assert small.size == wanted and max(small.size) >= side
    whole = images.decode_rgb(data).resize(small.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small, int) - np.asarray(whole, int)).mean() < 4
    assert images.decode_rgb(data, longer_side=500).size == size
    assert images.decode_rgb(encode(smooth, "PNG"), longer_side=side).size == size
