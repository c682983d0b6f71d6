"""Run units on Ray: plain actors and a small scheduler of our own.

    driver --unit--> Worker (CPU: read, filter, decode, crop; commits the unit) --batch of one bucket--> Holder of the encoder (GPU, or CPU)
                                                                                --request of a step---> Holder of a model (GPU, or CPU)

A worker does one unit at a time and hands its batches to the encoders in turn, at most a few ahead, so what is decoded and waiting stays
bounded. The scoring pass has no encoders. Every GPU holds one actor of each kind that the pass has: the encoder, and each model of its
steps. Nothing flows through the driver but unit numbers and reports. Ray Data was measured and set aside (two actor pools that want all
CPUs wait for ever; a row that kills its worker is retried for ever; 185 against 233 to 261 images/s).
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError, RayTaskError

from pipeline.errors import PlanError, ShardError
from pipeline.executor import MAX_IN_FLIGHT, EncoderSpec, Job
from pipeline.sources.unit import Unit
from pipeline.stage import ModelSpec
from pipeline.unit_files import UnitReport

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3  # a unit whose worker dies this often is given up
MAX_CPU_HOLDERS = (
    4  # of each kind, without a GPU: each holds the weights; few with one thread each wait less for each other than one with many
)


@dataclass(frozen=True, slots=True)
class Placement:
    """How many actors of each kind, and what each one asks of Ray."""

    workers: int
    worker_cpus: float
    holders: int  # actors that hold weights, of each kind
    holder_cpus: float
    holder_gpus: float
    holder_threads: int  # of torch, on CPUs; 0 leaves torch's own number


def plan_placement(cpus: float, gpus: float, workers: int, num_units: int, num_kinds: int = 1) -> Placement:
    """Divide a cluster: an actor of each kind on every GPU, workers on the remaining cores. Without a GPU both share the cores.

    Args:
        cpus: Of the whole cluster.
        gpus: Of the whole cluster.
        workers: As asked for; 0 takes as many as fit.
        num_units: More workers than units would idle.
        num_kinds: Of weights: the encoder, and the models that steps ask.

    Raises:
        PlanError: What is asked for does not fit.
    """
    if cpus < 1:
        raise PlanError(f"the cluster has {cpus:g} CPUs; at least 1 is needed")
    if num_kinds == 0:
        workers = min(workers or int(cpus), num_units)
        return Placement(workers, min(1.0, cpus / workers), 0, 0.0, 0.0, 0)
    if gpus >= 1:
        holders = int(gpus)
        free = cpus - holders
        if workers > free or free < 1:
            raise PlanError(f"{holders} GPUs and {max(workers, 1)} workers want a CPU each, the cluster has {cpus:g}")
        return Placement(min(workers or int(free), num_units), 1.0, holders, 1.0 / num_kinds, 1.0 / num_kinds, 0)
    workers = min(workers or max(int(cpus) - 1, 1), num_units)
    holders = min(int(cpus), MAX_CPU_HOLDERS)
    worker_cpus, holder_cpus = min(1.0, cpus / 2 / workers), cpus / 2 / holders / num_kinds  # both share the cores half and half
    return Placement(workers, worker_cpus, holders, holder_cpus, 0.0, max(1, int(cpus) // holders))


def run_on_ray(
    job: Job,
    encoder: EncoderSpec,
    units: Sequence[Unit],
    on_report: Callable[[UnitReport], None],
    workers: int = 0,
    address: str = "",
) -> None:
    """Do all units on the Ray cluster that is there, or on one started here.

    Args:
        workers: CPU workers; 0 takes as many as fit.
        address: As `ray.init` takes it; empty is RAY_ADDRESS, or a cluster started here. Where Ray runs already, it is not looked at.
        on_report: Called on the driver after each unit is committed, in the order in which they finish.

    Raises:
        PlanError: The cluster cannot hold the actors.
        RecipeError: The weights do not fit.
        ShardError: A unit killed its worker too often.
    """
    started_here = not ray.is_initialized()
    if started_here:
        connect(address)
    try:
        resources = ray.cluster_resources()
        num_kinds = len(job.models) + (job.part != "score")
        placement = plan_placement(resources.get("CPU", 0), resources.get("GPU", 0), workers, len(units), num_kinds)
        _schedule(job, encoder, units, on_report, placement)
    except RayTaskError as error:  # what a worker raised, as if it had been raised here
        raise error.cause from error
    finally:
        if started_here:
            ray.shutdown()


def connect(address: str, *, show: bool = False) -> None:
    """Join the cluster at an address, or at RAY_ADDRESS, or start one here.

    Args:
        show: What the workers print is printed here, too.

    Raises:
        PlanError: None answers there.
    """
    try:
        ray.init(address=address or None, include_dashboard=False, log_to_driver=show, logging_level=logging.WARNING)
    except ConnectionError as error:
        raise PlanError(f"no Ray cluster answers at {address or 'RAY_ADDRESS'}: {error}") from error


def _schedule(job: Job, encoder: EncoderSpec, units: Sequence[Unit], on_report: Callable[[UnitReport], None], placement: Placement) -> None:
    options = {"num_cpus": placement.holder_cpus, "num_gpus": placement.holder_gpus}
    count = range(placement.holders)
    encoders = [_remote(Holder).options(**options).remote(encoder, placement.holder_threads) for _ in count if job.part != "score"]
    models = [[_remote(Holder).options(**options).remote(spec, placement.holder_threads) for _ in count] for spec in job.models]
    # once for all workers, held until the end for one that is started again; as an argument of its own Ray would warn that it may be lost
    shared = [ray.put(job)]
    actors = [_remote(Worker).options(num_cpus=placement.worker_cpus).remote(shared, encoders, models) for _ in range(placement.workers)]
    ray.get([actor.ready.remote() for actor in (*encoders, *chain(*models), *actors)])
    todo, idle = deque((unit, 1) for unit in units), deque(actors)  # the unit, and which attempt it is
    running: dict[Any, tuple[Any, Unit, int]] = {}
    while todo or running:
        while todo and idle:
            actor, (unit, attempt) = idle.popleft(), todo.popleft()
            running[actor.run.remote(unit)] = (actor, unit, attempt)
        [done], _ = ray.wait(list(running), num_returns=1)
        actor, unit, attempt = running.pop(done)
        try:
            on_report(ray.get(done))
        except RayActorError as error:
            logger.warning("unit %d (%s): its worker died, attempt %d of %d: %s", unit.index, unit.path, attempt, MAX_ATTEMPTS, error)
            if attempt == MAX_ATTEMPTS:
                place = f"{unit.path}, samples {unit.start} to {unit.stop}"
                raise ShardError(f"unit {unit.index} ({place}) killed its worker {attempt} times; the finished units are kept") from error
            todo.append((unit, attempt + 1))
        idle.append(actor)
    for actor in (*actors, *encoders, *chain(*models)):
        ray.kill(actor)


def _remote(actor: type) -> Any:
    """An actor class: started again when its process dies, but no call is repeated unseen."""
    return ray.remote(max_restarts=-1, max_task_retries=0)(actor)


class Holder:
    """Holds weights: the VQ encoder, or a model that steps ask.

    They are loaded by the first call, so that a wrong checkpoint is that call's error, and again after a crash.
    """

    def __init__(self, spec: EncoderSpec | ModelSpec, threads: int):
        self._spec = spec
        self._threads = threads
        self._held: Any = None

    def ready(self) -> None:
        self._loaded()

    def encode(self, pixels_BHWC: np.ndarray) -> np.ndarray:
        codes: np.ndarray = self._loaded().encode(pixels_BHWC)
        return codes

    def ask(self, request: Any) -> Any:
        return self._loaded()(request)

    def _loaded(self) -> Any:
        if self._held is None:
            _limit_threads(self._threads)
            self._held = self._spec.load()
        return self._held


def _limit_threads(threads: int) -> None:
    if threads:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once; spinning threads starve the workers: 1.4 s for 0.04 s of work
        import torch

        torch.set_num_threads(threads)


class Worker:
    """Does units, one at a time. Set up by the first call, and again after a crash.

    Args:
        shared: A reference to the job.
    """

    def __init__(self, shared: list[Any], encoders: list[Any], models: list[list[Any]]):
        self._job: Job = ray.get(shared[0])
        self._encoders = encoders
        self._models = models
        self._is_set_up = False

    def ready(self) -> None:
        if not self._is_set_up:
            self._job.setup([_RemoteModel(actors) for actors in self._models])
            self._is_set_up = True

    def run(self, unit: Unit) -> UnitReport:
        self.ready()
        return self._job.run(unit, _ActorPort(self._encoders, unit.index) if self._encoders else None)


class _RemoteModel:
    """Asks the actors of one model in turn, and waits. With several workers an actor always has somebody to answer."""

    def __init__(self, actors: list[Any]):
        self._actors = actors
        self._next = os.getpid()  # workers begin at different actors

    def __call__(self, request: Any) -> Any:
        self._next += 1
        return ray.get(self._actors[self._next % len(self._actors)].ask.remote(request))


class _ActorPort:
    """Hands batches to the encoders in turn; the codes of a batch do not depend on which one takes it."""

    def __init__(self, encoders: list[Any], first: int):
        self._encoders = encoders
        self._next = first  # workers begin at different encoders
        self._in_flight: deque[Any] = deque()

    def submit(self, pixels_BHWC: np.ndarray) -> Any:
        while len(self._in_flight) >= MAX_IN_FLIGHT * len(self._encoders):
            ray.wait([self._in_flight.popleft()])
        encoder = self._encoders[self._next % len(self._encoders)]
        self._next += 1
        self._in_flight.append(encoder.encode.remote(pixels_BHWC))
        return self._in_flight[-1]

    def result(self, handle: Any) -> np.ndarray:
        codes: np.ndarray = ray.get(handle)
        return codes
