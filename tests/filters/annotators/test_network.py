"""Inputs of one shape share a batch, none is lost, and answers come in the order of the questions."""

from collections import UserDict

import pytest
import torch

from filters.annotators.network import Refused, ask, in_batches, prepared


def inputs(*sides):
    return [{"x": torch.full((1, side), number, dtype=torch.float32)} for number, side in enumerate(sides)]


def test_a_batch_goes_when_it_is_full_and_the_rest_at_the_end():
    batches = [(numbers, tuple(batch["x"].shape)) for numbers, batch in in_batches(enumerate(inputs(3, 4, 3, 5, 3, 4)), 2)]
    assert batches == [([0, 2], (2, 3)), ([1, 5], (2, 4)), ([3], (1, 5)), ([4], (1, 3))]


class Doubler:
    """A network of two outputs."""

    device, dtype = torch.device("cpu"), torch.bfloat16

    def __init__(self):
        self.seen = []

    def __call__(self, x, **_):
        self.seen.append((tuple(x.shape), x.dtype))
        return UserDict(twice=x * 2, count=torch.tensor([len(x)]))


def read(outputs, batch, numbers):
    assert outputs["twice"].dtype == torch.float32 and outputs["count"].dtype == torch.int64 and batch["ids"].dtype == torch.int64
    return [(number, float(row[0])) for number, row in zip(numbers, outputs["twice"], strict=True)]


@pytest.mark.parametrize("batch_size, calls", [(1, 5), (2, 3), (5, 2)])
def test_answers_come_in_order_and_what_was_refused_has_its_place(batch_size, calls):
    network = Doubler()
    rows = [{**each, "ids": torch.zeros(1, 2, dtype=torch.int64)} for each in inputs(3, 4, 3, 3, 4)]
    found = ask(network, [*rows[:2], Refused("no"), *rows[2:]], batch_size, read)
    assert found == [(0, 0.0), (1, 2.0), Refused("no"), (3, 4.0), (4, 6.0), (5, 8.0)]
    assert len(network.seen) == calls and {dtype for _, dtype in network.seen} == {torch.bfloat16}


def test_a_picture_that_the_processor_refuses_is_told_apart_from_a_bug():
    def prepare(number):
        if number == 1:
            raise ValueError("too narrow")
        return {"number": number}

    assert list(prepared(prepare, 3)) == [{"number": 0}, Refused("too narrow"), {"number": 2}]
    with pytest.raises(ZeroDivisionError):
        list(prepared(lambda number: {"x": 1 / number}, 1))
