"""Pictures and their maps lie upon each other to the pixel after any crop, whatever size the maps are stored at."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline import images
from pipeline.images import Crop, PictureError, apply_crop, plan_crop
from pipeline.samples import Change, ImageRef, Mark, Pose
from tests.tokenizer.rendering.scenes import (
    CLASSES,
    COLORS,
    NEARNESS,
    NORMALS,
    as_normals,
    inner,
    make_sample,
    maps,
    picture,
    png,
    regions,
)
from tokenizer.framing import frame_ref, frame_sample
from tokenizer.options import TokenOptions
from tokenizer.rendering.label_maps import label_colors
from tokenizer.rendering.render import Renderer

PALETTE = label_colors(np.arange(256))
OPTIONS = TokenOptions(target_size=256)
GRAYS = np.rint((NEARNESS - 1000.0) / 60_000 * 255).astype(np.uint8)


def draw(sample, ref: ImageRef | str, crop: Crop, options: TokenOptions = OPTIONS) -> np.ndarray:
    pixels = Renderer(sample, options).draw(ImageRef(ref) if isinstance(ref, str) else ref, crop)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (crop.height, crop.width, 3))
    return pixels


@pytest.mark.parametrize("size", [(301, 256), (256, 333), (256, 256)])
def test_without_a_resize_every_pixel_of_every_map_is_its_pictures(size):
    sample, crop = make_sample({"image": picture(*size)} | maps(*size)), plan_crop(size, (256, 256), (0.3, 0.8))
    ids = regions(*size)[crop.y : crop.y + 256, crop.x : crop.x + 256]
    assert len(np.unique(ids)) == 5
    np.testing.assert_array_equal(draw(sample, "image", crop), COLORS[ids])
    np.testing.assert_array_equal(draw(sample, "edited_1", crop), COLORS[::-1][ids])
    np.testing.assert_array_equal(draw(sample, "segmentation", crop), PALETTE[CLASSES[ids]])
    np.testing.assert_array_equal(draw(sample, "mask", crop), np.where(ids == 4, 255, 0)[..., None].repeat(3, axis=2))
    np.testing.assert_array_equal(draw(sample, "depth", crop), GRAYS[ids][..., None].repeat(3, axis=2))
    np.testing.assert_allclose(draw(sample, "normal", crop).astype(int), as_normals(NORMALS)[ids].astype(int), atol=1)


def crops_and_sizes():
    for main in ((640, 480), (641, 479), (1283, 963), (333, 250)):
        for scale in (1, 0.5, 1.5):
            yield main, (round(main[0] * scale), round(main[1] * scale))


@pytest.mark.parametrize(("main", "other"), crops_and_sizes())
def test_after_a_resize_maps_of_any_size_agree_with_the_picture_away_from_borders(main, other):
    sample = make_sample({"image": picture(*main)} | maps(*other))
    framings = frame_sample(sample, OPTIONS, seed=0)
    assert all(framing.is_aligned for framing in framings.values())
    crop = framings["image"].crop
    shown = draw(sample, "image", crop).astype(int)
    ids = abs(shown[:, :, None] - COLORS.astype(int)).sum(axis=3).argmin(axis=2)  # of the nearest colour
    sure = inner(ids, 4 if min(other) < 200 else 2)
    assert sure.mean() > 0.75 and len(np.unique(ids[sure])) == 5

    segmentation, palette = draw(sample, "segmentation", crop), PALETTE[CLASSES]
    np.testing.assert_array_equal(segmentation[sure], palette[ids][sure])
    assert {tuple(color) for color in segmentation.reshape(-1, 3)} == {tuple(color) for color in palette}  # nothing new at borders
    mask = draw(sample, "mask", crop)
    np.testing.assert_array_equal(mask[sure, 0], np.where(ids == 4, 255, 0)[sure])
    assert set(np.unique(mask)) == {0, 255}
    np.testing.assert_allclose(draw(sample, "depth", crop)[sure, 1].astype(int), GRAYS[ids][sure].astype(int), atol=1)
    np.testing.assert_allclose(draw(sample, "normal", crop)[sure].astype(int), as_normals(NORMALS)[ids][sure].astype(int), atol=1)
    np.testing.assert_allclose(draw(sample, "edited_1", crop)[sure].astype(int), COLORS[::-1][ids][sure].astype(int), atol=30)


@pytest.mark.parametrize("scale", [1, 0.5, 1.5])
def test_a_part_of_a_map_is_where_the_part_of_its_picture_is(scale):
    main = (641, 479)
    sample = make_sample({"image": picture(*main)} | maps(round(641 * scale), round(479 * scale)))
    framings = frame_sample(sample, OPTIONS, seed=0)
    box, target = (0.201, 0.302, 0.803, 0.897), 192
    crops = {role: frame_ref(ImageRef(role, box, target), framings, OPTIONS) for role in framings}
    assert len(set(crops.values())) == 1
    shown = draw(sample, ImageRef("image", box), crops["image"]).astype(int)
    ids = abs(shown[:, :, None] - COLORS.astype(int)).sum(axis=3).argmin(axis=2)
    sure = inner(ids, 3)
    assert sure.mean() > 0.7 and len(np.unique(ids[sure])) >= 4
    for role, truth in (
        ("segmentation", PALETTE[CLASSES]),
        ("normal", as_normals(NORMALS)),
        ("edited_1", COLORS[::-1]),
    ):
        drawn = draw(sample, ImageRef(role, box), crops[role]).astype(int)
        np.testing.assert_allclose(drawn[sure], truth[ids][sure].astype(int), atol={"segmentation": 0, "normal": 1, "edited_1": 30}[role])


def test_a_part_of_a_small_map_begins_between_its_pixels():
    ids = np.random.default_rng(0).integers(0, 200, (75, 100), np.uint8)
    sample = make_sample({"image": picture(800, 600), "segmentation": png(ids)})
    box = (100.4 / 800, 204.4 / 600, 356.4 / 800, 396.4 / 600)  # pixels 100 to 356 and 204 to 396
    crop = plan_crop((256, 192), (256, 192))
    wanted = ids[np.arange(204, 396)[:, None] // 8, np.arange(100, 356) // 8]
    np.testing.assert_array_equal(draw(sample, ImageRef("segmentation", box), crop), PALETTE[wanted])


def test_photographs_are_drawn_as_the_reference_resizes_them():
    sample = make_sample({"image": png(np.random.default_rng(0).integers(0, 256, (300, 700, 3), np.uint8))})
    crop = plan_crop((700, 300), (256, 128))
    wanted = apply_crop(images.decode_rgb(sample.images["image"]), crop)
    np.testing.assert_array_equal(draw(sample, "image", crop), np.asarray(wanted))


@pytest.mark.parametrize("role", ["canny", "hed", "sketch", "pose", "view_1", "subject_1", "image_1", "edited_2"])
def test_edges_skeletons_and_further_pictures_are_photographs(role):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    sample = make_sample({"image": picture(300, 200), role: png(noise)})
    crop = plan_crop((300, 200), (96, 64))
    np.testing.assert_array_equal(draw(sample, role, crop), np.asarray(apply_crop(Image.fromarray(noise), crop)))


def test_masks_of_several_edits_are_masks_and_other_names_are_not():
    gray = np.array([[0, 9]] * 2, np.uint8)
    sample = make_sample({"image": png(np.zeros((2, 2, 3), np.uint8)), "mask_1": png(gray), "masked_1": png(gray)})
    crop = plan_crop((2, 2), (2, 2))
    assert draw(sample, "mask_1", crop)[0, :, 0].tolist() == [0, 255]
    assert draw(sample, "masked_1", crop)[0, :, 0].tolist() == [0, 9]


@pytest.mark.parametrize(("role", "pixels"), [("segmentation", "ids"), ("depth", "ids"), ("normal", "colors")])
def test_maps_are_turned_upright(role, pixels):
    ids = regions(120, 80)
    stored = Image.fromarray(ids * 40 if pixels == "ids" else as_normals(NORMALS)[ids])
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6
    sample = make_sample({"image": picture(120, 80), role: png(stored)})
    turned = make_sample({"image": picture(120, 80), role: png(stored.transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())})
    crop = plan_crop((120, 80), (96, 64))
    np.testing.assert_array_equal(draw(turned, role, crop), draw(sample, role, crop))


def test_the_samples_own_word_on_its_depth_wins_over_the_recipe():
    values = np.array([[1000, 2000, 4000, 0]], np.uint16)
    images_ = {"image": png(np.zeros((1, 4, 3), np.uint8)), "depth": png(values)}
    crop = plan_crop((4, 1), (4, 1))

    def row(options: TokenOptions, **metadata: object) -> list[int]:
        return draw(make_sample(images_, **metadata), "depth", crop, options)[0, :, 0].tolist()

    nearness, distance = [64, 128, 255, 0], [255, 85, 0, 0]
    assert row(OPTIONS) == row(replace(OPTIONS, stored_depth="distance"), depth_stored="nearness") == nearness
    assert row(replace(OPTIONS, stored_depth="distance")) == row(OPTIONS, depth_stored="distance") == distance
    for wrong in ("metres", None, ["distance"], 1):
        with pytest.raises(PictureError, match="nearness or distance") as caught:
            row(OPTIONS, depth_stored=wrong)
        assert caught.value.reason == "bad_depth_convention"


@pytest.mark.parametrize("role", ["image", "segmentation", "mask", "depth", "normal", "edited_1", "canny"])
def test_broken_pictures_of_every_role_are_named(role):
    whole = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    sample = make_sample({role: whole})
    sample = replace(sample, images={role: whole[: len(whole) // 2]})
    with pytest.raises(PictureError) as caught:
        draw(sample, role, plan_crop((64, 64), (32, 32)))
    assert caught.value.reason == "broken_image"


def test_every_file_is_decoded_once(monkeypatch):
    decoded = []
    monkeypatch.setattr("tokenizer.rendering.render.decode_map", lambda data, real=images.decode_map: decoded.append(data) or real(data))
    monkeypatch.setattr("tokenizer.rendering.render.decode_rgb", lambda data, real=images.decode_rgb: decoded.append(data) or real(data))
    sample = make_sample({"image": picture(96, 64)} | maps(96, 64))
    renderer, crop = Renderer(sample, OPTIONS), plan_crop((96, 64), (64, 64))
    for _ in range(2):
        for role in sample.images:
            renderer.draw(ImageRef(role), crop)
            renderer.draw(ImageRef(role, changes=(Change("flip"),)), crop)
    assert len(decoded) == len(sample.images)


def test_what_is_drawn_does_not_depend_on_what_was_drawn_before():
    sample = make_sample({"image": picture(96, 64)} | maps(96, 64))
    renderer, crop = Renderer(sample, OPTIONS), plan_crop((96, 64), (64, 64))
    plain = {role: renderer.draw(ImageRef(role), crop).copy() for role in sample.images}
    for role in sample.images:
        renderer.draw(ImageRef(role, marks=(Mark((0, 0, 1, 1)),), changes=(Change("noise", (50, 1)),)), crop)
    for role, pixels in plain.items():
        np.testing.assert_array_equal(renderer.draw(ImageRef(role), crop), pixels)


def test_marks_come_before_changes():
    sample = make_sample({"image": png(np.zeros((8, 8, 3), np.uint8))})
    ref = ImageRef(marks=(Mark((0, 0, 0.5, 1), width=1),), changes=(Change("flip"), Change("gray")))
    row = draw(sample, ref, plan_crop((8, 8), (8, 8)))[3, :, 0].tolist()
    assert row == [0, 0, 0, 0, 76, 0, 0, 76]  # red is 76 in gray, and stands at the right


def test_a_pose_is_drawn_where_none_is_stored_and_moves_with_the_pictures_crop():
    points = [(0.5, 0.5, 0.0)] * 17
    points[0] = (0.25, 0.75, 1.0)
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[290:310, 140:160] = 255  # where the nose is
    sample = make_sample({"image": png(pixels)}, (Pose(tuple(points)),))
    framings = frame_sample(sample, OPTIONS, seed=0)
    for box in (None, (0.1, 0.5, 0.6, 0.9)):
        crop = frame_ref(ImageRef("pose", box), framings, OPTIONS)
        assert crop == frame_ref(ImageRef("image", box), framings, OPTIONS)
        shown, drawn = (draw(sample, ImageRef(role, box), crop).any(axis=2) for role in ("image", "pose"))
        middles = [np.argwhere(there).mean(axis=0) for there in (shown, drawn)]
        np.testing.assert_allclose(middles[0], middles[1], atol=1)


def test_a_mask_stored_as_jpeg_is_cut_at_half_and_a_label_map_refused():
    ids = regions(64, 64)
    gray = Image.fromarray(np.where(ids == 4, 255, 0).astype(np.uint8))
    sample = make_sample({"image": picture(64, 64), "mask": png(gray, "JPEG", quality=60), "segmentation": png(gray, "JPEG")})
    crop = plan_crop((64, 64), (64, 64))
    assert set(np.unique(images.decode_map(sample.images["mask"]))) != {0, 255}
    np.testing.assert_array_equal(draw(sample, "mask", crop)[..., 0], np.asarray(gray))
    with pytest.raises(PictureError) as caught:
        draw(sample, "segmentation", crop)
    assert caught.value.reason == "lossy_label_map"
