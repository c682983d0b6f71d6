"""Where actors are placed, and what happens when a worker dies. What they do in peace is tested through `mgpt prepare`."""

from dataclasses import replace

import pytest

from jobs.recipe import load_recipe
from jobs.run_plan import make_plan
from pipeline.errors import PlanError, ShardError
from pipeline.ray_runner import MAX_ATTEMPTS, Placement, plan_placement, run_on_ray
from tests.jobs.recipes import write_recipe
from tests.pipeline.dying import Dying


@pytest.mark.parametrize("cpus", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_without_a_gpu_everything_fits(cpus, workers, kinds):
    placement = plan_placement(cpus, 0, workers, num_units=100, num_kinds=kinds)
    assert placement.workers == (workers or max(cpus - 1, 1))
    asked = placement.workers * placement.worker_cpus + kinds * placement.holders * placement.holder_cpus
    assert asked <= cpus + 1e-9
    assert 1 <= placement.holders * placement.holder_threads <= cpus


def test_every_gpu_has_an_encoder_and_the_rest_of_the_cores_work():
    assert plan_placement(16, 2, 0, num_units=100) == Placement(14, 1.0, 2, 1.0, 1.0, 0)


def test_kinds_of_weights_share_every_gpu():
    placement = plan_placement(16, 2, 0, num_units=100, num_kinds=2)
    assert placement == Placement(14, 1.0, 2, 0.5, 0.5, 0)


@pytest.mark.parametrize(("cpus", "workers", "wanted"), [(2, 0, (2, 1.0)), (2, 4, (4, 0.5)), (8, 3, (3, 1.0))])
def test_a_pass_without_weights_gives_all_cores_to_the_workers(cpus, workers, wanted):
    placement = plan_placement(cpus, 1, workers, num_units=100, num_kinds=0)
    assert (placement.workers, placement.worker_cpus, placement.holders) == (*wanted, 0)


def test_there_are_no_more_workers_than_units():
    assert plan_placement(16, 2, 0, num_units=3).workers == 3


@pytest.mark.parametrize("cpus, gpus, workers", [(16, 2, 15), (2, 2, 0), (0, 0, 0)])
def test_what_does_not_fit_is_refused(cpus, gpus, workers):
    with pytest.raises(PlanError):
        plan_placement(cpus, gpus, workers, num_units=100)


def run_with_deaths(tmp_path, times):
    """12 scenes in units of 4; the worker dies at scene 5, so many times. Returns the numbers of the units that were done."""
    recipe, _ = write_recipe(tmp_path, 'kind = "shapes"\ncount = 12\nsizes = ["64x64"]', rest="[run]\nunit_size = 4\n")
    plan = make_plan(load_recipe(str(recipe), []))
    job = replace(plan.job, steps=(Dying(str(tmp_path), "000000005", times),))
    done: list[int] = []
    try:
        run_on_ray(job, plan.recipe.vq, plan.units, lambda report: done.append(report.unit), workers=1)
    except ShardError as error:
        return done, str(error)
    return done, ""


def test_a_unit_whose_worker_dies_is_done_again(tmp_path, ray_cluster):
    done, error = run_with_deaths(tmp_path, MAX_ATTEMPTS - 1)
    assert sorted(done) == [0, 1, 2] and not error


def test_a_unit_that_kills_every_worker_is_given_up_and_the_others_are_kept(tmp_path, ray_cluster):
    done, error = run_with_deaths(tmp_path, 1000)
    assert sorted(done) == [0, 2]
    assert "unit 1 (shapes, samples 4 to 8) killed its worker 3 times" in error
    assert len(list((tmp_path / "out" / "_work").glob("*.json"))) == 2
