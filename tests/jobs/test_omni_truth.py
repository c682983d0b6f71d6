"""What a run shows of drawn scenes is true, for every task, in the very pixels that go to the VQ.

How that is judged: omni_scenes.py. Boxes, edits and crops: test_omni_parts.py. After the VQ: test_omni_tokens.py.
"""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.buckets import fit_bucket
from pipeline.samples import IMAGE_MARK
from pipeline.sources.scene import COLORS, PLACES, Scene
from pipeline.sources.scene_drawing import draw_depth, draw_normal, draw_segmentation
from pipeline.sources.turntable import Turntable
from tests.jobs.omni_made import NUM_SCENES, SOURCE, VARIANTS, Made, make, make_maker
from tests.jobs.omni_maps import MAPS, check_skeleton, wrong_share
from tests.jobs.omni_scenes import bounds, converse, is_color, is_whole, place_of, told_apart, with_headers
from tests.pipeline.sources.test_scene_questions import bare, pairs, true_answer
from tokenizer.tasks import TASKS
from tokenizer.tasks.multiview import Multiview
from tokenizer.tasks.task import WeightedTask


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def made(request) -> list[Made]:
    return make(*request.param)


def test_every_task_is_seen_and_every_scene_is_cut_to_its_bucket(made):
    fed = Counter(task for one in made for task in one.dialogues)
    assert {*fed} == {*TASKS, "masks"} - {"multiview", "text_only"} and min(fed.values()) >= 5
    for one in made:
        target = 128 if one.picture.size <= 3 * 128**2 else 256
        assert one.picture.shape[1::-1] == fit_bucket(*one.size, target)
        assert one.sight.is_sure.mean() > 0.85, "most of it can be judged"


def test_maps_show_what_the_picture_shows_to_the_pixel(made):
    for one in made:
        for role in MAPS:
            asked, answer = one.dialogues[role].pictures
            assert (asked == one.picture).all()
            assert wrong_share(role, answer, one.sight, one.scene) == 0, (one.sample.key, role)


def test_maps_that_are_moved_by_three_pixels_do_not(made):
    for role in MAPS:
        moved = [wrong_share(role, np.roll(one.dialogues[role].pictures[1], 3, axis=(0, 1)), one.sight, one.scene) for one in made]
        assert np.mean(np.array(moved) > 0) > 0.9


def test_a_condition_is_the_map_that_is_noted(made):
    conditions = Counter()
    for one in made:
        control = one.dialogues["control"]
        condition, [shown, answer] = control.notes["condition"], control.pictures
        conditions[condition] += 1
        assert (answer == one.picture).all() and one.sample.caption in control.words[0]
        if condition == "pose":
            check_skeleton(shown, one.sight, one.sample, one.scene)
        else:
            assert wrong_share(condition, shown, one.sight, one.scene) == 0
    assert len(conditions) == 4


def test_maps_of_another_resolution_lie_on_their_picture():
    tasks = tuple(WeightedTask(kind, TASKS[kind]()) for kind in (*MAPS, "no_edit"))
    maker = make_maker(256, "random", tasks)
    draw = dict(zip(MAPS, (draw_depth, draw_normal, draw_segmentation), strict=True))
    for sample in told_apart(SOURCE, NUM_SCENES):
        scene, width, height = SOURCE.scene(sample.key), sample.headers["image"].width, sample.headers["image"].height
        larger = {role: draw[role](scene, 2 * width, 2 * height) for role in MAPS}
        made = Made(sample, scene, converse(maker, with_headers(replace(sample, images={**sample.images, **larger}))))
        for role in MAPS:
            assert wrong_share(role, made.dialogues[role].pictures[1], made.sight, scene) == 0, (sample.key, role)


def test_skeletons_lie_on_their_persons_joint_by_joint(made):
    dots = [check_skeleton(one.dialogues["pose"].pictures[1], one.sight, one.sample, one.scene) for one in made if "pose" in one.dialogues]
    assert sum(number >= 10 for number in dots) >= 5
    assert all(one.sample.poses for one in made if "pose" in one.dialogues)


def test_captions_say_what_is_seen_and_where_and_prompts_say_how_large_it_is(made):
    places = Counter()
    for one in made:
        captioning, prompt = one.dialogues["captioning"], one.dialogues["text_to_image"]
        height, width = one.picture.shape[:2]
        assert (captioning.pictures[0] == one.picture).all() and (prompt.pictures[0] == one.picture).all()
        assert prompt.words[0] == f"Generate an image of {width}x{height} according to the following prompt:\n{captioning.words[1]}"
        caption, seen = captioning.words[1], one.sight.seen
        *named, ground = re.findall(rf"(?<=\s)({'|'.join(COLORS)})(?=\s)", f" {caption}")
        assert named == [thing.color for thing in one.scene.things] and is_color(one.picture, ground)[0, 0]
        numbers = [number for number in range(len(named)) if (seen == number).any()]
        assert all((one.picture[seen == number] == COLORS[named[number]]).all(axis=1).any() for number in numbers)
        middles = [np.add(bounds(seen == number)[:2], bounds(seen == number)[2:]) / 2 for number in numbers]
        if made_out := re.search(r" left of | to right| above | to bottom", caption):
            axis = 0 if "left" in made_out[0] or "right" in made_out[0] else 1
            assert all(a[axis] < b[axis] for a, b in pairwise(middles)), caption
            places[axis] += 1
        elif (place := one.scene.layout) and is_whole(seen == 0):
            thing = one.scene.things[0]
            x, y = np.divide(place_of(thing, one.size, seen == 0).at(thing.x, thing.y), (width, height))
            assert min(PLACES, key=lambda name: np.hypot(PLACES[name][0] - x, PLACES[name][1] - y)) == place and place in caption
            places["single"] += 1
    assert len(places) == 3


def test_no_edit_answers_with_the_picture_and_subjects_show_the_things_in_their_order(made):
    for one in made:
        assert (one.dialogues["no_edit"].pictures[0] == one.dialogues["no_edit"].pictures[1]).all()
        *subjects, answer = one.dialogues["subject"].pictures
        assert (answer == one.picture).all() and f"of {answer.shape[1]}x{answer.shape[0]} that" in one.dialogues["subject"].words[0]
        for thing, subject in zip(one.scene.things, subjects, strict=True):
            ground = "gray" if thing.color == "white" else "white"
            assert {color for color in COLORS if is_color(subject, color).any()} == {thing.color, ground}
            assert is_color(subject, ground)[0, 0]


def test_answers_to_questions_are_true_and_the_pictures_are_those_that_are_asked_about(made):
    changes = 0
    for one in made:
        vqa, own = one.dialogues["vqa"], one.dialogues["conversation"]
        assert vqa.words == own.words
        edited = iter(one.dialogues["editing"].pictures[1:])
        asked = list(pairs(one.sample))
        for (question, roles, answer), shown, said in zip(asked, vqa.words[::2], vqa.words[1::2], strict=True):
            assert (shown.replace(IMAGE_MARK, "").strip(), said) == (question, answer)
            if roles == ["edited_1"]:
                changes += 1
                assert (vqa.pictures[-1] == next(edited)).all()
                assert told_change(answer, SOURCE.edits(one.sample.key)[0][1])
            else:
                assert bare(answer) == true_answer(question, one.sample)
        assert (vqa.pictures[0] == one.picture).all()
    assert changes >= 5


def told_change(answer: str, after: Scene) -> bool:
    """Whether an answer is true of the edited scene."""
    what, now = re.fullmatch(r"The (.*) is now (?:an? )?(\w+)\.", answer).groups()
    if what == "ground":
        return now == after.ground
    *size, color, shape = what.split()
    return any((thing.color, thing.shape) in ((now, shape), (color, now)) and thing.size == "".join(size) for thing in after.things)


@pytest.mark.parametrize("size", ["384x384", "400x300", "150x260"])
@pytest.mark.parametrize("crop", ["center", "random"])
def test_views_show_the_sides_of_their_azimuths_in_their_columns(size, crop):
    source = Turntable(3, seed=2, size=size)
    task = WeightedTask("multiview", Multiview(target_size=128))
    maker = make_maker(256, crop, (task,))
    for key in map(str, range(source.count)):
        dialogue = converse(maker, with_headers(source.draw(key)))["multiview"]
        height, width = dialogue.pictures[0].shape[:2]
        assert f"Generate 16 object views of {width}x{height} according" in dialogue.words[0] and len(dialogue.pictures) == 16
        original = tuple(map(int, size.split("x")))
        scale = max(width / original[0], height / original[1])
        middles = []
        for view, picture in enumerate(dialogue.pictures, start=1):
            assert picture.shape == (height, width, 3)
            x0, _, x1, _ = bounds((np.abs(picture.astype(int) - COLORS["white"]).max(axis=2)) > 60)
            sides = source.visible(key, view)
            middles.append((x0 + x1) / 2)
            for color in source.box(key).colors:
                columns = np.flatnonzero(is_color(picture, color).any(axis=0))
                [side] = [side for side in sides if side.color == color] or [None]
                if side is None:
                    assert not len(columns), (key, view, color)
                elif (side.right - side.left) * scale > 8:
                    left, right = ((x - original[0] / 2) * scale + middles[-1] for x in (side.left, side.right))
                    assert (columns[0], columns[-1] + 1) == pytest.approx((left, right), abs=3), (key, view, color)
        assert max(middles) - min(middles) <= 2, "all views are cut at one place"
        if crop == "center":
            assert np.mean(middles) == pytest.approx(width / 2, abs=1)
