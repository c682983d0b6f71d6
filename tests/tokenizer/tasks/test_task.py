"""How the tasks of a recipe share the samples."""

import random

import pytest

from tokenizer.tasks import TASKS
from tokenizer.tasks.task import draw_tasks, pick

WEIGHTS = [[1.0], [0.5, 0.5], [0.7, 0.2, 0.1], [1.0, 1.0], [0.3, 1.4], [2.5], [0.2, 0.3], [0.1] * 10, [3.0, 0.25, 0.75]]


def draws(weights: list[float], total: float, count: int = 20_000) -> list[list[int]]:
    rng = random.Random(0)
    return [draw_tasks(weights, total, rng.random()) for _ in range(count)]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_each_task_is_drawn_as_often_as_its_weight_says(weights):
    drawn = draws(weights, sum(weights))
    for index, weight in enumerate(weights):
        assert sum(numbers.count(index) for numbers in drawn) / len(drawn) == pytest.approx(weight, abs=0.02)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_number_drawn_is_the_sum_rounded_up_or_down(weights):
    low = int(sum(weights) + 1e-9)
    allowed = {low} if sum(weights) == pytest.approx(low) else {low, low + 1}
    assert {len(numbers) for numbers in draws(weights, sum(weights))} == allowed


def test_weights_that_sum_to_one_feed_exactly_one_task():
    for weights in ([0.5, 0.5], [0.7, 0.2, 0.1], [0.1] * 10, [1 / 3] * 3):
        for point in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1 - 1e-15):
            assert len(draw_tasks(weights, sum(weights), point)) == 1


def test_whole_weights_feed_every_task_so_many_times():
    assert draw_tasks([1.0, 2.0, 1.0], 4.0, 0.999) == [0, 1, 1, 2]


def test_the_draw_is_ascending_and_a_function_of_the_point():
    for point in (0.0, 0.25, 0.9):
        drawn = draw_tasks([0.6, 1.5, 0.9], 3.0, point)
        assert drawn == sorted(drawn) == draw_tasks([0.6, 1.5, 0.9], 3.0, point)


@pytest.mark.parametrize("usable", [[0.5], [0.3, 0.2], [0.1], [1e-6]])
def test_no_sample_is_lost_because_other_tasks_cannot_use_it(usable):
    assert all(len(numbers) == 1 for numbers in draws(usable, total=1.0))
    assert all(len(numbers) == 1 for numbers in draws(usable, total=2.0))


def test_the_rest_is_stretched_in_proportion():
    drawn = draws([0.3, 0.1], total=1.0)
    assert sum(numbers == [0] for numbers in drawn) / len(drawn) == pytest.approx(0.75, abs=0.02)


def test_a_recipe_that_asks_for_less_than_one_is_not_stretched_beyond_it():
    assert sum(map(len, draws([0.25], total=0.25))) / 20_000 == pytest.approx(0.25, abs=0.02)
    assert sum(map(len, draws([0.2], total=0.5))) / 20_000 == pytest.approx(0.5, abs=0.02)


def test_what_is_left_of_more_than_one_is_taken_as_it_is():
    assert sum(map(len, draws([1.0], total=3.0))) / 20_000 == 1.0
    assert sum(map(len, draws([1.5], total=3.0))) / 20_000 == pytest.approx(1.5, abs=0.02)


def test_every_task_of_the_recipe_is_built_without_options():
    for kind, task in TASKS.items():
        assert hasattr(task(), "format"), kind


def test_one_of_several_is_picked_by_dice_and_a_single_one_without():
    rng = random.Random(0)
    drawn = [pick("abc", rng) for _ in range(3000)]
    assert all(900 < drawn.count(letter) < 1100 for letter in "abc")
    before = rng.getstate()
    assert pick(["only"], rng) == "only"
    assert rng.getstate() == before
