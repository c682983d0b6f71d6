"""Class ids keep to their pixels and have VOC's colours; masks are black and white; what cannot be read for sure is refused."""

import numpy as np
import pytest
from PIL import Image

from pipeline.images import PictureError, decode_map, plan_crop
from tests.tokenizer.rendering.scenes import png
from tokenizer.rendering.label_maps import draw_mask, draw_segmentation, label_colors

SIZE = (4, 2)
CROP = plan_crop(SIZE, SIZE)
WHOLE = (0.0, 0.0, 4.0, 2.0)
PALETTE = label_colors(np.arange(256))
IDS = np.array([[0, 1, 2, 3], [15, 20, 254, 255]], np.uint8)


def segment(image: Image.Image, is_lossy: bool = False) -> np.ndarray:
    return draw_segmentation(decode_map(png(image, "TIFF" if image.mode in ("I", "F", "CMYK") else "PNG")), CROP, WHOLE, is_lossy)


def mask(image: Image.Image, is_lossy: bool = False) -> list[list[int]]:
    drawn = draw_mask(image, CROP, WHOLE, is_lossy)
    assert (drawn == drawn[..., :1]).all()
    return drawn[..., 0].tolist()


def test_the_palette_is_vocs():
    assert (PALETTE.shape, PALETTE.dtype) == ((256, 3), np.uint8)
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 7: (128, 128, 128), 8: (64, 0, 0)}
    known |= {15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {index: tuple(PALETTE[index].tolist()) for index in known} == known


def test_no_two_ids_have_one_colour_up_to_the_last():
    ids = np.unique(np.concatenate([np.arange(70_000), 1 << np.arange(24), np.random.default_rng(0).integers(0, 1 << 24, 100_000)]))
    colors = label_colors(ids).astype(np.int32)
    assert len(np.unique(colors[:, 0] << 16 | colors[:, 1] << 8 | colors[:, 2])) == len(ids)
    assert label_colors(np.array((1 << 24) - 1)).tolist() == [255, 255, 255]


def test_ids_are_read_from_every_way_of_storing_them():
    palette = Image.fromarray(IDS).convert("P")
    palette.putdata(IDS.ravel().tolist())
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())  # its own colours do not matter
    for image in (Image.fromarray(IDS), palette, Image.fromarray(IDS.astype(np.uint16)), Image.fromarray(IDS.astype(np.int32))):
        np.testing.assert_array_equal(segment(image), PALETTE[IDS])
    with_alpha = Image.merge("LA", (Image.fromarray(IDS), Image.new("L", SIZE, 255)))
    np.testing.assert_array_equal(segment(with_alpha), PALETTE[IDS])


def test_a_palette_with_a_transparent_colour_still_has_ids():
    image = Image.fromarray(IDS).convert("P")
    image.putdata(IDS.ravel().tolist())
    decoded = decode_map(png(image, transparency=0))
    assert decoded.mode == "P" and "transparency" in decoded.info
    np.testing.assert_array_equal(draw_segmentation(decoded, CROP, WHOLE, False), PALETTE[IDS])


def test_ids_over_255_and_single_bits_are_ids():
    deep = np.array([[256, 1000, 65_535, 0]] * 2, np.uint16)
    np.testing.assert_array_equal(segment(Image.fromarray(deep)), label_colors(np.arange(65_536))[deep])
    assert segment(Image.fromarray(np.array([[False, True] * 2] * 2)))[0, :, 0].tolist() == [0, 128, 0, 128]


def test_a_coloured_map_keeps_its_colours():
    colors = np.random.default_rng(0).integers(0, 256, (2, 4, 3), np.uint8)
    np.testing.assert_array_equal(segment(Image.fromarray(colors)), colors)
    opaque = np.dstack([colors, np.full((2, 4), 255, np.uint8)])
    np.testing.assert_array_equal(segment(Image.fromarray(opaque)), colors)
    np.testing.assert_array_equal(segment(Image.fromarray(colors), is_lossy=True), colors)


def test_no_colour_is_new_after_a_resize():
    ids = np.random.default_rng(0).choice([3, 40, 200], (70, 90)).astype(np.uint8)
    for map_ in (Image.fromarray(ids), Image.fromarray(PALETTE[ids])):
        for bucket in ((32, 32), (160, 128)):
            drawn = draw_segmentation(map_, plan_crop(map_.size, bucket), (0, 0, 90, 70), False)
            assert {tuple(c) for c in drawn.reshape(-1, 3).tolist()} == {tuple(c) for c in PALETTE[[3, 40, 200]].tolist()}


def transparent(mode: str) -> Image.Image:
    image = Image.fromarray(IDS).convert(mode)
    image.putalpha(Image.fromarray(np.array([[0, 127, 128, 255]] * 2, np.uint8)))
    return image


@pytest.mark.parametrize(
    ("image", "is_lossy", "reason"),
    [
        (transparent("RGBA"), False, "map_has_alpha"),
        (transparent("LA"), False, "map_has_alpha"),
        (Image.fromarray(IDS), True, "lossy_label_map"),
        (Image.fromarray(IDS.astype(np.float32)), False, "bad_label_map"),
        (Image.new("CMYK", SIZE), False, "bad_label_map"),
    ],
)
def test_what_is_no_label_map_is_refused(image, is_lossy, reason):
    with pytest.raises(PictureError) as caught:
        segment(image, is_lossy)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("value", "fine"), [(-1, False), (0, True), ((1 << 24) - 1, True), (1 << 24, False)])
def test_ids_lie_below_two_to_the_24(value, fine):
    image = Image.fromarray(np.full((2, 4), value, np.int32))
    if fine:
        assert draw_segmentation(image, CROP, WHOLE, False).max() == (255 if value else 0)
    else:
        with pytest.raises(PictureError, match=str(value)) as caught:
            draw_segmentation(image, CROP, WHOLE, False)
        assert caught.value.reason == "bad_label_map"


def test_a_mask_is_white_where_it_is_not_0():
    wanted = [[0, 255, 255, 255], [255] * 4]
    for image in (Image.fromarray(IDS), Image.fromarray(IDS.astype(np.uint16)), Image.fromarray(IDS).convert("RGB")):
        assert mask(image) == wanted
    assert mask(Image.fromarray(IDS > 0)) == wanted
    assert mask(Image.fromarray(IDS).convert("RGBA")) == wanted  # opaque: its colours say it
    assert mask(Image.fromarray(np.full((2, 4), [0, 127, 128, 255], np.uint8)), is_lossy=True) == [[0, 0, 255, 255]] * 2


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_with_holes_is_white_in_them(mode):
    assert mask(transparent(mode)) == [[255, 255, 0, 0]] * 2


@pytest.mark.parametrize("mode", ["F", "CMYK"])
def test_what_is_no_mask_is_refused(mode):
    with pytest.raises(PictureError) as caught:
        mask(Image.new(mode, SIZE))
    assert caught.value.reason == "bad_label_map"
