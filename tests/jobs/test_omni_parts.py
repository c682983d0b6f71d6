"""Boxes, edits and crops of drawn scenes are where the cut picture shows what they are about: as test_omni_truth.py judges the rest."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.samples import IMAGE_MARK
from pipeline.sources.scene import COLORS, Scene
from pipeline.sources.scene_people import HEAD
from pipeline.sources.shapes import MAX_EDITS
from tests.jobs.omni_made import SOURCE, VARIANTS, Made, make, named_bounds
from tests.jobs.omni_maps import wrong_share
from tests.jobs.omni_scenes import GROUND, Bounds, bounds, is_color, look_at, widen


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def made(request) -> list[Made]:
    return make(*request.param)


def drawn_box(one: Made, marked: np.ndarray, width: int) -> Bounds:
    """The box of the line that was drawn on the picture; all else is as it was.

    Args:
        width: Of the line, pixels.
    """
    line = (marked != one.picture).any(axis=2)
    assert (marked[line] == (255, 0, 0)).all()
    x0, y0, x1, y1 = bounds(line)
    assert not line[y0 + width : y1 - width, x0 + width : x1 - width].any()
    frame = np.ones((y1 - y0, x1 - x0), bool)
    frame[width:-width, width:-width] = False
    assert line[y0:y1, x0:x1][frame].all()
    return x0, y0, x1, y1


def test_a_box_is_drawn_around_what_is_asked_for_and_nothing_else_is_changed(made):
    phrases = Counter()
    for one in made:
        if "grounding" in one.dialogues:
            grounding = one.dialogues["grounding"]
            phrase = re.fullmatch(r"Detect: (.*)\. <\|image\|>", grounding.words[0])[1]
            assert (grounding.pictures[0] == one.picture).all() and phrase == grounding.notes["phrase"]
            if (wanted := named_bounds(one, phrase)) is not None:
                assert np.abs(np.subtract(drawn_box(one, grounding.pictures[1], grounding.refs[1].marks[0].width), wanted)).max() <= 2, (
                    one.sample.key,
                    phrase,
                )
                phrases[phrase == HEAD] += 1
    assert phrases[False] >= 12 and phrases[True] >= 1


def test_what_is_in_the_box_is_what_the_answer_says(made):
    right = 0
    for one in made:
        if "referring" in one.dialogues:
            referring = one.dialogues["referring"]
            box, answer = drawn_box(one, referring.pictures[0], referring.refs[0].marks[0].width), referring.words[1]
            for phrase in {detection.phrase for detection in one.sample.detections}:
                where = named_bounds(one, phrase)
                if where is not None and np.abs(np.subtract(box, where)).max() <= 2:
                    assert phrase == answer, one.sample.key
                    right += 1
    assert right >= 12


def check_edit(before: np.ndarray, after: np.ndarray, mask: np.ndarray, scenes: tuple[Scene, Scene], instruction: str) -> str:
    """An edit changes what its mask covers and nothing else, and does what it says.

    Returns:
        Which kind it is.
    """
    assert (before == after)[~widen(mask, 3, beyond=True)].all()
    sights = look_at(before, scenes[0]), look_at(after, scenes[1])
    sure, seen = sights[0].is_sure & sights[1].is_sure, tuple(sight.seen for sight in sights)
    if told := re.fullmatch(r"Make the ground (\w+)\.", instruction):
        assert (mask == (seen[0] == GROUND))[sure].all() and is_color(after, told[1])[mask & sure].all()
        assert (before != after).any(axis=2)[mask & sure].all()
        return "ground"
    told = re.fullmatch(r"(Make|Turn) the (.*?)( into an?)? (\w+)\.", instruction)
    [number] = [number for number, thing in enumerate(scenes[0].things) if thing.phrase == told[2]]
    assert (mask == ((seen[0] == number) | (seen[1] == number)))[sure].all()
    if told[1] == "Turn":
        assert scenes[1].things[number].shape == told[4]
        assert (before != after).any(axis=2)[sure & ((seen[0] == number) != (seen[1] == number))].all()
        return "shape"
    assert is_color(after, told[4])[mask & sure].all() and not is_color(before, told[4])[mask & sure].any()
    return "colour"


def test_edits_change_what_their_masks_cover_and_nothing_else(made):
    kinds = Counter()
    for one in made:
        editing, scenes = one.dialogues["editing"], SOURCE.edits(one.sample.key)[0]
        assert editing.words[1::2] == (IMAGE_MARK,) * MAX_EDITS and editing.words[0].endswith(f". {IMAGE_MARK}")
        instructions = editing.words[0].removesuffix(f" {IMAGE_MARK}"), *editing.words[2::2]
        masks = [picture[..., 0] > 0 for picture in one.dialogues["masks"].pictures]
        for number in range(MAX_EDITS):
            kinds[check_edit(*editing.pictures[number : number + 2], masks[number], scenes[number : number + 2], instructions[number])] += 1
    assert set(kinds) == {"ground", "shape", "colour"}


def test_edits_on_grainy_grounds_leave_each_grain_in_its_place():
    source = replace(SOURCE, texture_share=1.0, gradient_share=0.5)
    for one in make(128, "random", source):
        pictures = one.dialogues["editing"].pictures
        for number in range(MAX_EDITS):
            mask = one.dialogues["masks"].pictures[number][..., 0] > 0
            differs = (pictures[number] != pictures[number + 1]).any(axis=2)
            assert not differs[~widen(mask, 3, beyond=True)].any() and differs[mask].mean() > 0.2


def test_crops_stand_before_their_words_and_show_what_these_name(made):
    found = Counter()
    for one in made:
        if "interleaved" not in one.dialogues:
            continue
        dialogue, (caption, spans) = one.dialogues["interleaved"], one.scene.describe()
        span_of = {thing.phrase: span for thing, span in zip(one.scene.things, spans, strict=True)}
        notes, wanted = dialogue.notes["crops"], caption
        for note in reversed(notes):
            start, stop = span_of[note["phrase"]]
            assert caption[start:stop] == note["phrase"]
            wanted = f"{wanted[:start]}{IMAGE_MARK} {wanted[start:]}"
        if "extra_map" in dialogue.notes:
            wanted += f" {IMAGE_MARK}"
            assert wrong_share("depth", dialogue.pictures[-2], one.sight, one.scene) == 0
            found["map"] += 1
        assert dialogue.words == (wanted, IMAGE_MARK) and (dialogue.pictures[-1] == one.picture).all()
        for note, crop in zip(notes, dialogue.pictures, strict=False):
            [thing] = [thing for thing in one.scene.things if thing.phrase == note["phrase"]]
            check_crop(crop, thing.color, one.scene, {change["kind"] for change in note["changes"]}, is_head=note["head"])
            found["head" if note["head"] else "changed" if note["changes"] else "plain"] += 1
    assert len(found) == 4 and min(found.values()) >= 2, found


def check_crop(crop: np.ndarray, color: str, scene: Scene, changes: set[str], *, is_head: bool) -> None:
    """A crop shows one thing from border to border, a head with a margin around it."""
    if "gray" in changes:
        assert (crop == crop[..., :1]).all()
        return
    colors = [scene.ground, *(thing.color for thing in scene.things)]
    nearest = np.argmin([np.abs(crop.astype(int) - COLORS[name]).sum(axis=2) for name in colors], axis=0)
    shares = {name: float((nearest == number).mean()) for number, name in enumerate(colors)}
    assert max(colors[1:], key=shares.__getitem__) == color and shares[color] > 0.1
    if not changes:
        height, width = crop.shape[:2]
        assert sum(is_color(crop, name).mean() for name in (scene.ground, color)) > 0.2, "flat colours stay flat"
        near = nearest == colors.index(color)
        gaps = np.abs(np.subtract(bounds(near), (0, 0, width, height))) / (width, height, width, height)
        assert gaps.max() < (0.25 if is_head else 0.08)
