"""Training by Ray Train: the same as on one process, and refused where there is no room."""

import pytest

from jobs.__main__ import main
from jobs.lm.train_log import LOG, read_log
from jobs.ray_train import check_room
from pipeline.errors import PlanError
from tests.jobs.lm.processes import assert_same_run, write_recipe


def test_two_workers_of_ray_train_train_as_one_process_does(ray_cluster, tmp_path):
    options = "steps = 4\nbatch_size = 4\nheld_out_fraction = 0.3\neval_every = 2\n"
    logs = []
    for name, processes in (("one", 0), ("two", 2)):
        recipe = write_recipe(tmp_path / name, options)
        assert main(["train", str(recipe), "--set", f"train.processes={processes}"]) == 0
        logs.append(read_log(tmp_path / name / "out" / "train" / LOG))
    assert_same_run(*logs)
    assert len(logs[1]) == 6


def test_more_processes_than_the_cluster_can_place_are_refused(ray_cluster, tmp_path, capsys):
    recipe = write_recipe(tmp_path, "steps = 4\nprocesses = 3\n")
    assert main(["train", str(recipe)]) == 4
    assert "train.processes: 3 want a CPU each, the cluster has room for 2" in capsys.readouterr().err


def test_room_is_counted_node_by_node():
    nodes = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 4.0}, {"CPU": 16.0}]
    check_room(nodes, 3, use_gpu=True)
    with pytest.raises(PlanError, match="4 want a CPU and a GPU each, the cluster has room for 3"):
        check_room(nodes, 4, use_gpu=True)
    check_room(nodes, 25, use_gpu=False)
    with pytest.raises(PlanError, match="26 want a CPU each"):
        check_room(nodes, 26, use_gpu=False)
