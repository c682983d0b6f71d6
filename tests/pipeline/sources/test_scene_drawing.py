"""Maps, masks, edits and subjects of drawn scenes say what the picture shows, to the pixel."""

import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.sources.scene import COLORS, Scene, Thing, changed_thing
from pipeline.sources.scene_drawing import CLASSES, TILT, draw_normal, draw_segmentation, draw_subject, normal_of
from pipeline.sources.scene_shapes import SHAPES
from pipeline.sources.shapes import MAX_EDITS, ROLES, Shapes

SOURCE = Shapes(80, seed=7, sizes=("192x192", "256x160", "160x256"), gradient_share=0.0, roles=ROLES, people_share=0.4)
SAMPLES = [SOURCE.draw(str(number)) for number in range(SOURCE.count)]


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def inside(map_HW, reach=1):
    """Where all pixels up to `reach` away are of one value: away from smooth edges; not at the picture's border."""
    windows = np.lib.stride_tricks.sliding_window_view(map_HW, (2 * reach + 1, 2 * reach + 1))
    return np.pad(windows.min(axis=(2, 3)) == windows.max(axis=(2, 3)), reach)


def region(thing, classes):
    """The pixels of a thing on a segmentation map; boxes of things do not touch."""
    height, width = classes.shape
    x0, y0, x1, y1 = (c * side for c, side in zip(thing.box(width, height), (width, height, width, height), strict=True))
    near = np.zeros_like(classes, dtype=bool)
    near[max(int(y0) - 1, 0) : int(y1) + 2, max(int(x0) - 1, 0) : int(x1) + 2] = True
    return near & (classes == 1 + CLASSES.index(thing.shape))


def test_all_maps_agree_with_the_picture_and_with_each_other():
    for sample in SAMPLES:
        scene = SOURCE.scene(sample.key)
        picture, classes, depth, normal = (pixels(sample.images[role]) for role in ("image", "segmentation", "depth", "normal"))
        away = inside(classes, 2)  # tips and notches go on for a pixel where they cover less than half of it
        ground = classes == 0
        assert (picture[ground & away] == COLORS[scene.ground]).all()
        assert (depth[ground] == 0).all() and (normal[ground] == (128, 128, 255)).all()
        shades = []
        for thing in scene.things:
            here = region(thing, classes)
            assert (picture[here & away] == COLORS[thing.color]).all()
            assert (np.median(picture[here & inside(classes)], axis=0) == COLORS[thing.color]).all()
            [shade], [direction] = np.unique(depth[here]), np.unique(normal[here], axis=0)
            shades.append((thing.radius, shade))
            assert direction / 127.5 - 1 == pytest.approx(normal_of(thing.shape), abs=0.5 / 127.5 + 1e-9)
            ground |= here
        assert ground.all()
        assert [shade for _, shade in sorted(shades)] == sorted({shade for _, shade in shades}), "the larger, the nearer"


def test_normals_are_of_unit_length_and_tell_the_shapes_apart():
    normals = [normal_of(shape) for shape in CLASSES]
    assert all(math.hypot(*normal) == pytest.approx(1) for normal in normals)
    assert all(math.degrees(math.acos(z)) == pytest.approx(TILT) for *_, z in normals)
    assert min(math.dist(a, b) for a in normals for b in normals if a is not b) > 0.3
    scene = Scene((Thing("red", "circle", "", 0.5, 0.5, 0.3),), "blue")
    drawn = pixels(draw_normal(scene, 64, 64)) / 127.5 - 1
    assert np.abs(np.linalg.norm(drawn, axis=2) - 1).max() < 0.01
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 2


def test_edits_go_one_after_the_other_and_their_masks_hold_what_they_change():
    kinds = set()
    for sample in SAMPLES:
        scenes, _ = SOURCE.edits(sample.key)
        pictures = [pixels(sample.images[role]) for role in ("image", "edited_1", "edited_2", "edited_3")]
        height, width = pictures[0].shape[:2]
        maps = [pixels(draw_segmentation(scene, width, height)) for scene in scenes]
        for number in range(1, MAX_EDITS + 1):
            before, after = maps[number - 1 : number + 1]
            mask = pixels(sample.images[f"mask_{number}"])
            differs = (pictures[number - 1] != pictures[number]).any(axis=2)
            assert set(np.unique(mask)) == {0, 255}
            assert not differs[(mask == 0) & inside(mask, 2)].any()
            index = changed_thing(*scenes[number - 1 : number + 1])
            old, new = (scene.things[index or 0] for scene in scenes[number - 1 : number + 1])
            if index is None:
                kinds.add("ground")
                assert ((mask == 255) == (before == 0)).all()
            else:
                assert ((mask == 255) == (region(old, before) | region(new, after))).all()
            if index is not None and old.shape != new.shape:
                kinds.add("shape")
                both = region(old, before) & region(new, after)
                away = inside(before, 2) & inside(after, 2)
                assert (differs[away] == ((mask == 255) & ~both)[away]).all()
            else:
                kinds.add("color" if index is not None else "ground")
                assert differs[mask == 255].mean() > 0.99 and differs[(mask == 255) & inside(mask)].all()
    assert kinds == {"ground", "color", "shape"}


def test_instructions_lead_from_one_caption_to_the_next():
    def bare(words):
        return re.sub(r"\ban? ", "", words)

    for sample in SAMPLES:
        caption = bare(sample.caption)
        assert len(sample.metadata) == 2 * MAX_EDITS
        for number in range(1, MAX_EDITS + 1):
            instruction = bare(sample.metadata[f"instruction_{number}"]).removesuffix(".")
            if made := re.fullmatch(r"Make the ground (\w+)", instruction):
                caption = re.sub(r"\bon \w+ ground$", f"on {made[1]} ground", caption)
            elif made := re.fullmatch(r"Make the (.*) (\w+)", instruction):
                assert caption.count(made[1]) == 1
                *size, _, shape = made[1].split()
                caption = caption.replace(made[1], " ".join([*size, made[2], shape]))
            else:
                made = re.fullmatch(r"Turn the (.*) into (\w+)", instruction)
                assert caption.count(made[1]) == 1 and "person" not in instruction
                caption = caption.replace(made[1], " ".join([*made[1].split()[:-1], made[2]]))
            assert bare(sample.metadata[f"edited_caption_{number}"]) == caption


def test_edits_before_do_not_depend_on_how_many_are_drawn():
    two = Shapes(1, seed=7, sizes=SOURCE.sizes, gradient_share=0.0, roles=("image", "edited_1", "edited_2"), people_share=0.4)
    for sample in SAMPLES[:10]:
        fewer = two.draw(sample.key)
        assert fewer.metadata == {name: value for name, value in sample.metadata.items() if not name.endswith("3")}
        assert all(sample.images[role] == data for role, data in fewer.images.items())


def test_a_subject_stands_alone_in_the_middle_as_large_as_in_the_picture():
    for sample in SAMPLES:
        classes = pixels(sample.images["segmentation"])
        for number, thing in enumerate(SOURCE.scene(sample.key).things, start=1):
            subject = pixels(sample.images[f"subject_{number}"])
            ground = COLORS["gray" if thing.color == "white" else "white"]
            assert subject.shape == (min(classes.shape), min(classes.shape), 3)
            assert (subject[0] == ground).all() and (subject[:, 0] == ground).all()
            drawn = (np.abs(subject.astype(int) - ground).max(axis=2) * 2) > np.abs(np.subtract(COLORS[thing.color], ground)).max()
            assert drawn.sum() == pytest.approx(region(thing, classes).sum(), rel=0.1)
            x0, y0, x1, y1 = (c * len(subject) for c in Thing(*_without_place(thing)).box(len(subject), len(subject)))
            rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
            assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == pytest.approx((x0, y0, x1, y1), abs=1.5)


def _without_place(thing):
    return thing.color, thing.shape, thing.size, 0.5, 0.5, thing.radius, thing.posture


def test_white_things_stand_on_gray():
    [white, red] = [pixels(draw_subject(Thing(color, "circle", "", 0.2, 0.7, 0.2), 64)) for color in ("white", "red")]
    assert (white[0, 0] == COLORS["gray"]).all() and (white[32, 32] == COLORS["white"]).all()
    assert (red[0, 0] == COLORS["white"]).all() and (red[32, 32] == COLORS["red"]).all()


def test_a_person_has_the_class_after_the_shapes_and_the_palette_grows_only_for_persons():
    assert CLASSES[:-1] == SHAPES and CLASSES[-1] == "person"
    for sample in SAMPLES:
        image = Image.open(io.BytesIO(sample.images["segmentation"]))
        assert (9 in np.unique(np.asarray(image))) == bool(sample.poses)
        assert len(image.getpalette()) == (30 if sample.poses else 27)
