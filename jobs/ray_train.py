"""The same training on a Ray cluster, by Ray Train: `train.processes` of them, with a GPU each where the cluster has any.

    driver --recipe--> rank 0, rank 1, ...      each runs what torchrun's processes run, and writes to OUTPUT/train as they do

The output must lie where all nodes see it, under the same path. When a process or a node dies, all processes start again from the last
checkpoint of our own; Ray's checkpoints are not used.
"""

import argparse
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.recipe import Recipe
from pipeline.errors import MgptError, PlanError, RecipeError, ShardError

Train = Callable[[Recipe, argparse.Namespace], int]  # what `mgpt train` runs

RESTARTS = 3  # after processes that died

logger = logging.getLogger(__name__)


def train_on_ray(recipe: Recipe, train: Train) -> None:
    """Train, or go on training, on the cluster that is there, or on one started here.

    Args:
        train: What each process does.

    Raises:
        PlanError: The cluster cannot hold that many processes.
        RecipeError: Ray Train is not installed; or what the training itself raises.
        ShardError: Processes died too often.
    """
    import ray

    from pipeline.ray_runner import connect

    try:
        import ray.train.torch
    except ImportError as error:
        raise RecipeError(f'train.processes: Ray Train wants `pip install "mgpt[ray-train]"` ({error})') from error
    started_here = not ray.is_initialized()
    if started_here:
        connect(recipe.run.address, show=True)
    try:
        use_gpu = recipe.train.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1
        check_room([node["Resources"] for node in ray.nodes() if node["Alive"]], recipe.train.processes, use_gpu=use_gpu)
        for attempt in range(1, RESTARTS + 2):
            if _fit(recipe, train, use_gpu=use_gpu, attempt=attempt):
                return
        raise ShardError(f"train.processes: processes died {RESTARTS + 1} times; run it again to go on from the last checkpoint")
    finally:
        if started_here:
            ray.shutdown()


def check_room(nodes: Iterable[Mapping[str, float]], processes: int, *, use_gpu: bool) -> None:
    """Refuse what could never be placed: Ray itself would wait for ever.

    Args:
        nodes: What each has, by name of the resource.

    Raises:
        PlanError: There is room for fewer processes.
    """
    wanted = ("CPU", "GPU") if use_gpu else ("CPU",)
    room = sum(min(int(node.get(name, 0)) for name in wanted) for node in nodes)
    if room < processes:
        raise PlanError(f"train.processes: {processes} want a {' and a '.join(wanted)} each, the cluster has room for {room}")


def _fit(recipe: Recipe, train: Train, *, use_gpu: bool, attempt: int) -> bool:
    """Whether it came to its end; false when processes died."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import WorkerGroupError

    each = {"CPU": 1.0, "GPU": 1.0} if use_gpu else {"CPU": 1.0}
    trainer = TorchTrainer(
        _train,
        train_loop_config={"train": train, "recipe": replace(recipe, train=replace(recipe.train, processes=0)), "folder": str(Path.cwd())},
        scaling_config=ScalingConfig(num_workers=recipe.train.processes, use_gpu=use_gpu, resources_per_worker=each),
        run_config=RunConfig(name=f"ray-{attempt}", storage_path=str(Path(recipe.output).resolve() / "train")),
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        for failure in error.worker_failures.values():
            cause = getattr(failure, "_base_exc", failure)
            if isinstance(cause, MgptError):
                raise cause from error
        logger.warning("attempt %d of the training: %s", attempt, error)
        return False
    return True


def _train(config: dict[str, Any]) -> None:
    """One process; its working folder becomes the driver's, for paths in the recipe may be relative."""
    os.chdir(config["folder"])
    config["train"](config["recipe"], argparse.Namespace(dry_run=False))
