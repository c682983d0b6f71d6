"""Changes of crops: at least one, only those allowed, within their bounds."""

import random
from collections import Counter

import pytest

from pipeline.samples import Change
from tokenizer.tasks.augment import CHANCES, KINDS, NUM_DICE, draw_changes

OFTEN = 4000


def draw(seed: int, kinds=KINDS, min_kept_side=0.7, noise_std=(5.0, 15.0)) -> tuple[Change, ...]:
    rng = random.Random(seed)
    return draw_changes([rng.random() for _ in range(NUM_DICE)], kinds, min_kept_side=min_kept_side, noise_std=noise_std)


def test_at_least_one_is_drawn_and_each_about_as_often_as_its_chance_says():
    drawn = [draw(seed) for seed in range(OFTEN)]
    assert min(len(changes) for changes in drawn) == 1
    nothing = 1.0
    for chance in CHANCES.values():
        nothing *= 1 - chance
    counts = Counter(change.kind for changes in drawn for change in changes)
    for kind, chance in CHANCES.items():
        assert counts[kind] / OFTEN == pytest.approx(chance + nothing / len(CHANCES), abs=0.03)


def test_they_are_done_in_one_order():
    assert all(
        [change.kind for change in draw(seed)] == [kind for kind in KINDS if kind in {c.kind for c in draw(seed)}] for seed in range(50)
    )
    assert any(len(draw(seed)) == 4 for seed in range(200))


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_kind_that_is_allowed_is_always_drawn(kind):
    assert {tuple(change.kind for change in draw(seed, (kind,))) for seed in range(50)} == {(kind,)}


def test_a_crop_keeps_an_equal_share_of_both_sides_at_any_place():
    boxes = [draw(seed, ("crop",))[0].values for seed in range(OFTEN)]
    shares = [(round(x1 - x0, 4), round(y1 - y0, 4)) for x0, y0, x1, y1 in boxes]
    assert all(width == height and 0.7 <= width <= 1 for width, height in shares)
    assert all(0 <= value <= 1 for box in boxes for value in box)
    assert min(shares)[0] < 0.71 and max(shares)[0] > 0.99
    places = [x0 / (1 - (x1 - x0)) for x0, _, x1, _ in boxes if x1 - x0 < 0.9]
    assert min(places) < 0.05 and max(places) > 0.95


def test_noise_has_a_strength_in_its_bounds_and_a_whole_seed():
    values = [draw(seed, ("noise",))[0].values for seed in range(OFTEN)]
    assert all(5 <= std <= 15 and seed == int(seed) and 0 <= seed < 2**31 for std, seed in values)
    assert min(values)[0] < 5.1 and max(values)[0] > 14.9
    assert len({seed for _, seed in values}) > OFTEN - 10


def test_flip_and_gray_have_no_values():
    assert draw(0, ("flip",)) == (Change("flip"),)
    assert draw(0, ("gray",)) == (Change("gray"),)


@pytest.mark.parametrize("kept, crop", [(0.0, (0.0, 0.3, 0.7, 1.0)), (1.0, (0.0, 0.0, 1.0, 1.0))])
def test_the_ends_of_the_dice_give_the_ends_of_the_bounds(kept, crop):
    dice = [0.0, kept, 0.0, 1.0, 0.9, 0.9, 0.0, 0.0, 0.9, 0.0]
    assert draw_changes(dice, KINDS, min_kept_side=0.7, noise_std=(5.0, 15.0)) == (Change("crop", crop),)
