"""Where actors are placed. What they do is tested through `mgpt prepare`."""

import pytest

from pipeline.errors import PlanError
from pipeline.ray_runner import Placement, plan_placement


@pytest.mark.parametrize("cpus", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_without_a_gpu_everything_fits(cpus, workers):
    placement = plan_placement(cpus, 0, workers, num_units=100)
    assert placement.workers == (workers or max(cpus - 1, 1))
    asked = placement.workers * placement.worker_cpus + placement.encoders * placement.encoder_cpus
    assert asked <= cpus + 1e-9
    assert 1 <= placement.encoders * placement.encoder_threads <= cpus


def test_every_gpu_has_an_encoder_and_the_rest_of_the_cores_work():
    assert plan_placement(16, 2, 0, num_units=100) == Placement(14, 1.0, 2, 1.0, 1.0, 0)


def test_there_are_no_more_workers_than_units():
    assert plan_placement(16, 2, 0, num_units=3).workers == 3


@pytest.mark.parametrize("cpus, gpus, workers", [(16, 2, 15), (2, 2, 0), (0, 0, 0)])
def test_what_does_not_fit_is_refused(cpus, gpus, workers):
    with pytest.raises(PlanError):
        plan_placement(cpus, gpus, workers, num_units=100)
