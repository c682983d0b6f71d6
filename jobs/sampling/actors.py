"""Requests dealt out to Ray actors, each with a model of its own, on a GPU where there are any.

    driver --jobs, with pixels--> Sampling actor --answers, one by one--> driver, which writes them

An answer depends on its own request alone, so it does not matter who makes it. What an actor leaves open when it dies is dealt out again.
On CPUs all actors compute with the driver's number of threads: with another number, sums end in other last bits.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jobs.sampling.engine import Answer, Answering, AnsweringSpec, Job
from jobs.sampling.plan import Asked
from pipeline.errors import PlanError, ShardError

logger = logging.getLogger(__name__)


class Sampling:
    """Holds an engine, loaded by the first call."""

    def __init__(self, spec: AnsweringSpec, threads: int):
        self._spec, self._threads = spec, threads
        self._engine: Answering | None = None

    def answer(self, jobs: Sequence[Job]) -> Iterator[Answer]:
        if self._engine is None:
            import torch

            torch.set_num_threads(self._threads)
            self._engine = self._spec.load()
        yield from self._engine.answer(jobs)


def answer_on_ray(
    spec: AnsweringSpec, asked: Sequence[Asked], prepare: Callable[[Asked], Job], *, actors: int, hand: int, address: str
) -> Iterator[Answer]:
    """Answer on the Ray cluster that is there, or on one started here.

    Args:
        prepare: Called here, shortly before a job is dealt out.
        actors: How many; no more than there are GPUs, where there are any.
        hand: Jobs that an actor is dealt at once, at most.
        address: As in `run_on_ray`.

    Raises:
        PlanError: The cluster cannot hold the actors.
        RecipeError: The weights do not fit.
        ShardError: A job's actor died too often.
    """
    import ray
    import torch
    from ray.exceptions import RayTaskError

    from pipeline.ray_runner import connect

    started_here = not ray.is_initialized()
    if started_here:
        connect(address)
    try:
        options = _place(ray.cluster_resources(), actors)
        remote = ray.remote(max_restarts=0, max_task_retries=0)(Sampling).options(**options)
        threads = torch.get_num_threads()
        workers = [remote.remote(spec, threads) for _ in range(min(actors, len(asked)))]
        try:
            hand = max(1, min(hand, -(-len(asked) // len(workers))))
            yield from _deal(workers, asked, prepare, hand, lambda: remote.remote(spec, threads))
        finally:
            for worker in workers:
                ray.kill(worker)
    except RayTaskError as error:  # what an actor raised, as if it had been raised here
        raise error.cause from error
    finally:
        if started_here:
            ray.shutdown()


def _place(resources: dict[str, float], actors: int) -> dict[str, float]:
    """What each actor asks of Ray."""
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    if cpus < 1:
        raise PlanError(f"the cluster has {cpus:g} CPUs; at least 1 is needed")
    if gpus >= 1 and actors > gpus:
        raise PlanError(f"sample.actors: {actors} are asked for, the cluster has {gpus:g} GPUs")
    return {"num_cpus": min(1.0, int(cpus / actors * 100) / 100), "num_gpus": 1.0 if gpus >= 1 else 0.0}


def _deal(
    workers: list[Any], asked: Sequence[Asked], prepare: Callable[[Asked], Job], hand: int, start_worker: Callable[[], Any]
) -> Iterator[Answer]:
    """Deal out hands until all is answered. A dead actor's place in `workers` is taken by a new one. Who dies again
    and again without an answer in between is given up.

    Ray's own restart is not used: while an actor restarts, calls to it fail at once, and would use up a hand's attempts.
    """
    import ray
    from ray.exceptions import RayActorError

    from pipeline.ray_runner import MAX_ATTEMPTS

    todo = deque((list(asked[start : start + hand]), 1) for start in range(0, len(asked), hand))
    idle = deque(workers)
    running: dict[Any, tuple[Any, dict[int, Asked], int]] = {}  # by stream of answers: who, what is open, which attempt at the first of it
    while todo or running:
        while todo and idle:
            worker, (dealt, attempt) = idle.popleft(), todo.popleft()
            stream = worker.answer.options(num_returns="streaming").remote([prepare(one) for one in dealt])
            running[stream] = worker, {one.number: one for one in dealt}, attempt
        [stream], _ = ray.wait(list(running), num_returns=1)
        worker, open_jobs, attempt = running[stream]
        try:
            answer: Answer = ray.get(next(stream))
        except StopIteration:
            del running[stream]
            idle.append(worker)
        except RayActorError as error:
            logger.warning("a sampling actor died with %d answers open, attempt %d of %d: %s", len(open_jobs), attempt, MAX_ATTEMPTS, error)
            if attempt == MAX_ATTEMPTS:
                first = min(open_jobs)
                raise ShardError(f"answer {first} or one near it killed its actor {attempt} times; what is finished is kept") from error
            del running[stream]
            todo.append((list(open_jobs.values()), attempt + 1))
            ray.kill(worker)  # where it is only out of reach
            workers[workers.index(worker)] = fresh = start_worker()
            idle.append(fresh)
        else:
            del open_jobs[answer.number]
            running[stream] = worker, open_jobs, 1
            yield answer
