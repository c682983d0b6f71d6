"""Compiled steps: few shapes, and the same answers."""

from dataclasses import replace

import pytest
import torch

from jobs.lm.requests import SampleRequest
from jobs.lm.sampling.compiled import MOST_TOKENS, StepCompiler
from jobs.lm.sampling.decoder import Decoder
from jobs.lm.sampling.sampler import Sampler
from tests.jobs.lm.sampling.reference import say
from tests.jobs.lm.tiny import NAMES, TEXT, tiny_model

PICTURE = SampleRequest(0, say("a red circle"), size=(64, 64), guidance=3.0, image_top_k=50)
REQUESTS = [PICTURE, replace(PICTURE, number=1, size=(32, 32)), replace(PICTURE, number=2, turns=say("two blue squares"), size=(96, 32))]


class Counting:
    """A compiler that keeps the shapes asked for."""

    def __init__(self, backend: str):
        self._compiler = StepCompiler(backend)
        self.shapes: list[tuple[int, int, int]] = []
        self.places, self.shape, self.prepare = self._compiler.places, self._compiler.shape, self._compiler.prepare

    def run(self, state, ids_RT, starts_R, num_keys):
        self.shapes.append((*ids_RT.shape, num_keys))
        return self._compiler.run(state, ids_RT, starts_R, num_keys)


@pytest.mark.parametrize("window", [0, 3])
def test_compiled_steps_give_the_same_answers_in_few_shapes_and_are_compiled_once(window):
    model, compiler = tiny_model(), Counting("aot_eager")
    plain = Sampler(model, TEXT, NAMES, 8192, seed=5, batch_size=2, jacobi_window=window)
    compiled = Sampler(model, TEXT, NAMES, 8192, seed=5, batch_size=2, jacobi_window=window, compiler=compiler)
    expected = {result.number: result.sequence.input_ids.tolist() for result in plain.sample(REQUESTS)}
    torch._dynamo.utils.counters.clear()
    assert {result.number: result.sequence.input_ids.tolist() for result in compiled.sample(REQUESTS)} == expected
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert len(compiler.shapes) > 2 * graphs
    assert graphs <= len(set(compiler.shapes)) <= 8
    assert {result.number: result.sequence.input_ids.tolist() for result in compiled.sample(REQUESTS)} == expected
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs


def test_shapes_are_halves_of_the_rows_powers_of_two_and_quarters_of_the_places():
    compiler, state = StepCompiler(), Decoder(tiny_model(), 12, 1024).state
    assert [compiler.shape(state, rows, 1, 1)[0] for rows in (12, 7, 6, 4, 3, 2, 1)] == [12, 12, 6, 6, 3, 2, 1]
    assert [compiler.shape(state, 1, tokens, 1)[1] for tokens in (1, 2, 3, 5, MOST_TOKENS)] == [1, 2, 4, 8, MOST_TOKENS]
    assert compiler.shape(state, 1, MOST_TOKENS + 1, 1) is None
    assert [compiler.shape(state, 1, 1, keys)[2] for keys in (1, 256, 257, 1000, 1024)] == [256, 256, 512, 1024, 1024]
    assert [compiler.places(wanted) for wanted in (1, 512, 513)] == [512, 512, 1024]
    for shape in ((12, 1, 256), (6, 32, 1024), (1, 2, 512)):
        assert compiler.shape(state, *shape) == shape
