"""Drawn scenes: what the caption, the boxes, the maps and the edit say is what is on the picture."""

import hashlib
import io
import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pipeline.config import build_kind
from pipeline.dice import dice
from pipeline.errors import RecipeError
from pipeline.sources import SOURCES
from pipeline.sources.scene import COLORS, Scene, Thing, edit
from pipeline.sources.scene_drawing import CLASSES, draw_image
from pipeline.sources.scene_people import PERSON
from pipeline.sources.scene_shapes import SHAPES
from pipeline.sources.shapes import ROLES, Shapes
from pipeline.sources.unit import Unit

ALL = Shapes(count=60, seed=3, sizes=("128x128", "160x96", "96x160"), roles=ROLES)


def read(source):
    return [sample for unit in source.plan(1000) for sample in source.read(unit)]


SAMPLES = read(ALL)
WITH_PEOPLE = Shapes(count=60, seed=3, sizes=("192x192", "256x160", "160x256"), roles=ROLES, people_share=0.5)
PEOPLE = [sample for sample in read(WITH_PEOPLE) if sample.poses]
CAPTIONS = [  # of the first three keys
    "a small black circle at the bottom right, on a white ground",
    "a small brown ring at the bottom right, on a pink ground",
    "a purple triangle on the left, on a gray ground",
]


def pixels(data, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode)) if mode else np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("sample", SAMPLES[:30] + PEOPLE, ids=lambda sample: sample.caption)
def test_each_phrase_of_the_caption_is_in_its_box_and_nowhere_else(sample):
    picture = pixels(sample.images["image"])
    classes = pixels(sample.images["segmentation"], mode="")
    height, width = classes.shape
    left = classes.copy()
    for found in sample.detections[: len(sample.detections) - len(sample.poses)]:
        assert sample.caption[slice(*found.span)] == found.phrase
        *_, color, shape = found.phrase.split()
        x0, y0, x1, y1 = (round(c * side) for c, side in zip(found.box, (width, height, width, height), strict=True))
        here = (slice(max(y0 - 1, 0), y1 + 1), slice(max(x0 - 1, 0), x1 + 1))
        mask = left[here] == 1 + CLASSES.index(shape)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        tight = (columns[0] + here[1].start, rows[0] + here[0].start, columns[-1] + 1 + here[1].start, rows[-1] + 1 + here[0].start)
        assert np.abs(np.array(tight) - (x0, y0, x1, y1)).max() <= 1
        assert (np.median(picture[here][mask], axis=0) == COLORS[color]).all()
        left[here][mask] = 0
    assert not left.any()


def test_places_and_orders_are_as_the_caption_says():
    said = dict.fromkeys(
        (" left of ", " from left to right", " above ", " from top to bottom", " on the left,", " at the bottom right,"), 0
    )
    for sample in read(Shapes(count=400, seed=1, sizes=("32x32",))):
        centres = [((d.box[0] + d.box[2]) / 2, (d.box[1] + d.box[3]) / 2) for d in sample.detections]
        for words, axis in ((" left of ", 0), (" from left to right", 0), (" above ", 1), (" from top to bottom", 1)):
            if words in sample.caption:
                along = [centre[axis] for centre in centres]
                assert all(b - a > 0.25 for a, b in pairwise(along))
                said[words] += 1
        if " on the left," in sample.caption:
            assert centres[0][0] < 0.32 and 0.4 < centres[0][1] < 0.6
            said[" on the left,"] += 1
        if " at the bottom right," in sample.caption:
            assert min(centres[0]) > 0.65
            said[" at the bottom right,"] += 1
    assert min(said.values()) > 0


def test_size_words_are_true():
    radius = {"small": [], "large": [], "": []}
    for number in range(300):
        for thing in ALL.scene(str(number)).things:
            radius[thing.size].append(thing.radius)
    assert max(radius["small"]) < min(radius[""]) and max(radius[""]) < min(radius["large"])


def test_huge_things_are_alone_in_the_middle_and_larger_than_large_ones():
    source = Shapes(count=100, sizes=("64x96",), max_things=1, thing_sizes=("large", "huge"))
    things = [thing for number in range(200) for thing in source.scene(str(number)).things]
    huge, large = ([thing for thing in things if thing.size == size] for size in ("huge", "large"))
    assert min(len(huge), len(large)) > 50
    assert min(thing.radius for thing in huge) > max(thing.radius for thing in large)
    assert all(abs(value - 0.5) + thing.radius < 0.5 for thing in huge for value in (thing.x, thing.y))
    said = {source.scene(str(number)).layout for number in range(200) if source.scene(str(number)).things[0].size == "huge"}
    assert said == {"", "in the middle"}


def test_only_the_chosen_sizes_and_grounds_are_drawn():
    source = Shapes(count=100, thing_sizes=("small", "medium"), grounds=("white", "black"), gradient_share=0.3)
    scenes = [source.scene(str(number)) for number in range(200)]
    assert {thing.size for scene in scenes for thing in scene.things} == {"small", ""}
    assert {scene.ground for scene in scenes} == {"white", "black"}
    assert {(scene.ground, scene.ground_end) for scene in scenes if scene.ground_end} == {("white", "black"), ("black", "white")}


def test_things_do_not_touch_and_lie_inside():
    for sample in read(Shapes(count=200, sizes=("64x64", "128x32", "32x128"))):
        boxes = [d.box for d in sample.detections]
        assert min(min(box) for box in boxes) >= 0 and max(max(box) for box in boxes) <= 1
        for i, a in enumerate(boxes):
            for b in boxes[i + 1 :]:
                assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def thing(words, x=0.5, y=0.5):
    size, color, shape = words.rjust(20).split(" ")[-3:]
    return Thing(color, shape, size, x, y, 0.1)


@pytest.mark.parametrize(
    ("scene", "caption"),
    [
        (Scene((thing("red circle"),), "blue"), "a red circle on a blue ground"),
        (Scene((thing("large red star"),), "orange", "", "in the middle"), "a large red star in the middle, on an orange ground"),
        (
            Scene((thing("orange star"), thing("small red ring")), "blue", "white", "row"),
            "an orange star left of a small red ring on a ground that fades from blue to white",
        ),
        (
            Scene((thing("red circle"), thing("red star"), thing("red cross")), "blue", "", "column"),
            "a red circle, a red star and a red cross from top to bottom, on a blue ground",
        ),
    ],
)
def test_captions_are_plain_english(scene, caption):
    assert scene.describe()[0] == caption


def test_the_maps_line_up_with_the_picture():
    for sample in SAMPLES[:20]:
        classes, depth = pixels(sample.images["segmentation"], mode=""), pixels(sample.images["depth"], mode="")
        assert classes.shape == depth.shape == pixels(sample.images["image"]).shape[:2]
        assert ((classes > 0) == (depth > 0)).all()
        assert len(np.unique(depth)) == 1 + len(sample.detections)
        assert Image.open(io.BytesIO(sample.images["segmentation"])).mode == "P"


def test_an_edit_does_what_its_instruction_says():
    verbs = set()
    for sample in SAMPLES:
        instruction, caption = sample.metadata["instruction_1"], sample.metadata["edited_caption_1"]
        before, after = pixels(sample.images["image"]), pixels(sample.images["edited_1"])
        assert (before != after).any() and caption != sample.caption
        words = instruction.rstrip(".").split()
        assert words[-1] in caption
        if words[2] == "ground":
            verbs.add("ground")
            assert caption.endswith(f" {words[-1]} ground")
            assert (after[0, 0] == COLORS[words[-1]]).all()
        elif words[0] == "Make":
            verbs.add("color")
            assert (after == COLORS[words[-1]]).all(axis=2).any()
        else:
            verbs.add("shape")
    assert verbs == {"ground", "color", "shape"}


def test_nothing_is_ever_drawn_in_the_colour_of_its_ground_and_no_two_things_are_alike():
    for number in range(300):
        scene = ALL.scene(str(number))
        for one in (scene, edit(dice(0, str(number), "edit").random, scene, frozenset())[0]):
            assert not {thing.color for thing in one.things} & {one.ground, one.ground_end}
            assert len({(thing.color, thing.shape) for thing in one.things}) == len(one.things)


def test_a_scene_depends_on_seed_and_key_alone():
    alone = Shapes(count=60, seed=3, sizes=ALL.sizes, roles=ROLES)
    assert list(alone.read(Unit(1, "shapes", 20, 25))) == SAMPLES[20:25]
    assert alone.draw(SAMPLES[7].key) == SAMPLES[7]
    assert Shapes(count=1000, seed=3, sizes=ALL.sizes, roles=ROLES).draw(SAMPLES[7].key) == SAMPLES[7]
    assert Shapes(count=60, seed=4, sizes=ALL.sizes, roles=ROLES).draw(SAMPLES[7].key) != SAMPLES[7]
    with_fewer_roles = Shapes(count=60, seed=3, sizes=ALL.sizes).draw(SAMPLES[7].key)
    assert with_fewer_roles.images == {"image": SAMPLES[7].images["image"]}


def test_scenes_are_the_same_on_every_machine():
    assert [ALL.draw(f"{number:09d}").caption for number in (0, 1, 2)] == CAPTIONS


def test_new_options_left_the_old_draws_as_they_were():
    """The digest was taken before there were persons, questions and chains of edits."""
    roles = ("image", "segmentation", "depth", "edited_1")
    source = Shapes(60, 3, sizes=ALL.sizes, gradient_share=0.3, texture_share=0.4, hold_out=("red circle", "blue star"), roles=roles)
    said = [
        [s.key, s.caption, [[d.phrase, [round(c, 9) for c in d.box], d.span] for d in s.detections], dict(s.metadata), list(s.images)]
        for s in read(source)
    ]
    assert hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16] == "56294a001ba07208"
    assert not any(sample.turns or sample.poses for sample in read(source))


def test_persons_stand_in_their_share_of_the_scenes_and_change_no_other():
    source = Shapes(count=400, seed=3, sizes=("32x32",), people_share=0.5)
    without, persons = Shapes(count=400, seed=3, sizes=("32x32",)), 0
    for sample, plain in zip(read(source), read(without), strict=True):
        things = [thing for thing in source.scene(sample.key).things if thing.shape == PERSON]
        persons += len(things)
        assert len(sample.poses) == len(things) <= 1
        assert len(sample.detections) == len(plain.detections) + len(things)
        if not things:
            assert sample == plain
    assert 160 < persons < 240
    assert all(len(sample.poses) == 1 for sample in read(Shapes(count=50, sizes=("32x32",), people_share=1.0)))


def test_a_person_that_is_held_out_is_never_drawn_and_never_made_by_an_edit():
    held_out = tuple(f"{color} person" for color in list(COLORS)[:6])
    source = Shapes(count=300, sizes=("16x16",), roles=("image", "edited_1", "edited_2"), hold_out=held_out, people_share=1.0)
    captions = [text for s in read(source) for text in (s.caption, s.metadata["edited_caption_1"], s.metadata["edited_caption_2"])]
    assert all("person" in caption for caption in captions)
    assert not any(kind in caption for kind in held_out for caption in captions)


def test_as_many_subjects_as_things_are_drawn():
    for sample in SAMPLES[:20]:
        subjects = [role for role in sample.images if role.startswith("subject")]
        assert subjects == [f"subject_{n}" for n in range(1, len(sample.detections) + 1)]
    assert list(Shapes(count=1, roles=("subject_1", "image")).draw("1").images) == ["subject_1", "image"]


def test_all_sizes_kinds_and_counts_are_drawn():
    assert {Image.open(io.BytesIO(s.images["image"])).size for s in SAMPLES} == {(128, 128), (160, 96), (96, 160)}
    scenes = [ALL.scene(str(number)) for number in range(400)]
    assert {len(scene.things) for scene in scenes} == {1, 2, 3}
    assert {thing.color for scene in scenes for thing in scene.things} == set(COLORS)
    assert {thing.shape for scene in scenes for thing in scene.things} == set(SHAPES)


def test_what_is_held_out_is_never_drawn():
    held_out = tuple(f"{color} circle" for color in COLORS if color != "red")
    source = Shapes(count=300, sizes=("16x16",), roles=("image", "edited_1"), hold_out=held_out)
    captions = [text for sample in read(source) for text in (sample.caption, sample.metadata["edited_caption_1"])]
    assert not any(kind in caption for kind in held_out for caption in captions)
    assert any("red circle" in caption for caption in captions)


def test_a_texture_changes_the_ground_and_nothing_else():
    scene = Scene((Thing("red", "square", "", 0.5, 0.5, 0.2),), "blue")
    plain, grainy = pixels(draw_image(scene, 64, 64)), pixels(draw_image(scene, 64, 64, bytes(range(256)) * 16))
    assert (plain[28:36, 28:36] == grainy[28:36, 28:36]).all()
    assert np.unique(grainy[:8], axis=0).size > 10 and abs(grainy.mean() - plain.mean()) < 4


def test_edges_are_smooth_on_the_picture_and_hard_on_the_maps():
    sample = Shapes(count=1, max_things=1, gradient_share=0.0, roles=ROLES).draw("x")
    assert len(np.unique(pixels(sample.images["image"]).reshape(-1, 3), axis=0)) > 2
    assert len(np.unique(pixels(sample.images["segmentation"], mode=""))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count is at least 1"),
        ({"max_things": 0}, "max_things is 1, 2 or 3"),
        ({"max_things": 4}, "max_things is 1, 2 or 3"),
        ({"gradient_share": 1.1}, r"gradient_share lies in \[0, 1\]"),
        ({"texture_share": -0.1}, r"texture_share lies in \[0, 1\]"),
        ({"sizes": ["128"]}, "sizes: wants 'WIDTHxHEIGHT'"),
        ({"sizes": ["15x128"]}, "16 to 8192 pixels"),
        ({"sizes": ["128x8193"]}, "16 to 8192 pixels"),
        ({"sizes": []}, "at least one entry"),
        ({"people_share": 1.01}, r"people_share lies in \[0, 1\]"),
        ({"people_share": -0.01}, r"people_share lies in \[0, 1\]"),
        ({"roles": []}, "at least one entry"),
        ({"roles": ["canny"]}, "roles: 'canny' is none of image, segmentation, depth, normal, edited_1"),
        ({"roles": ["image", "edited_2"]}, "roles: 'edited_2' wants 'edited_1' as well"),
        ({"roles": ["image", "edited_1", "mask_2"]}, "roles: 'mask_2' wants 'edited_2' as well"),
        ({"roles": ["image", "mask_1"]}, "roles: 'mask_1' wants 'edited_1' as well"),
        ({"roles": ["image", "subject_3", "subject_1"]}, "roles: 'subject_3' wants 'subject_2' as well"),
        ({"roles": ["depth"], "questions": True}, "questions are about the picture: roles wants 'image'"),
        ({"thing_sizes": ["tiny"]}, "thing_sizes: 'tiny' is none of small, medium, large, huge"),
        ({"thing_sizes": []}, "thing_sizes want at least one"),
        ({"thing_sizes": ["huge"]}, "thing_sizes: 'huge' leaves no place for others: max_things is 1 then, got 3"),
        ({"thing_sizes": ["large"]}, "thing_sizes: three in a row want 'small' or 'medium', got large"),
        ({"grounds": ["beige"]}, "grounds: 'beige' is none of"),
        ({"grounds": ["white"]}, "grounds: one that fades wants two colours"),
        ({"hold_out": ["red dog"]}, "hold_out: 'red dog' is none of"),
        ({"hold_out": [f"{c} {s}" for c in COLORS for s in SHAPES][:49]}, "hold_out: 49 of 96 kinds leave too little"),
        ({"hold_out": [f"{c} person" for c in COLORS][:7]}, "hold_out: 7 of 12 kinds leave too little"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        build_kind(SOURCES, {"kind": "shapes", "count": 3, **options}, "source")


def test_units_cut_the_count():
    source = Shapes(count=5, sizes=("16x16",))
    assert source.plan(2) == [Unit(0, "shapes", 0, 2), Unit(1, "shapes", 2, 4), Unit(2, "shapes", 4, 5)]
    assert [s.key for s in read(source)] == [f"{i:09d}" for i in range(5)]
    assert source.fingerprint() == {"shapes": "5 scenes"}
