"""What a task is, and how the tasks of a recipe share the samples."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pipeline.samples import Conversation, Drop, Sample
from tokenizer.framing import Framings

T = TypeVar("T")


class Task(Protocol):
    """A dataclass whose fields are its options in the recipe."""

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        """A function of its arguments alone: no pixels, no tokens, no clock, no global dice.

        Args:
            framings: How each of the sample's pictures is cut, by role. Boxes and points of the sample are fractions of the original.

        Returns:
            The dialogue, or a Drop when this sample cannot feed this task.
        """
        ...


def lacks(sample: Sample, framings: Framings, *roles: str) -> Drop | None:
    """Why a task that wants these pictures, one upon the other, cannot use a sample; None if it can."""
    for role in roles:
        if role not in framings:
            return Drop(sample.key, f"no_{role}")
        if not framings[role].is_aligned:
            return Drop(sample.key, f"{role}_not_aligned")
    return None


def pick(choices: Sequence[T], rng: random.Random) -> T:
    """One of them; no dice are thrown for a single one."""
    return choices[0] if len(choices) == 1 else choices[int(rng.random() * len(choices))]


@dataclass(frozen=True, slots=True)
class WeightedTask:
    """A task and how many sequences it is to make of a sample, on average; over 1 repeats."""

    kind: str
    task: Task
    weight: float = 1.0


def draw_tasks(weights: Sequence[float], total: float, point: float) -> list[int]:
    """Which tasks a sample feeds: systematic sampling along the weights laid end to end.

    Each task is drawn `weight` times on average, and the number drawn is the sum of the weights, rounded up or down: with weights that sum
    to 1 every sample feeds exactly one task, with two weights of 1 both. When tasks that do not apply leave less than 1 although the recipe
    asks for at least 1, the rest is stretched to 1: no sample is lost because other tasks cannot use it.

    Args:
        weights: Of the tasks that the sample can feed.
        total: Of all tasks in the recipe.
        point: In [0, 1), drawn for the sample.

    Returns:
        Indices into `weights`, ascending; an index that occurs twice is drawn twice.
    """
    wanted = min(1.0, total)
    stretch = max(1.0, wanted / sum(weights))
    edges, edge = [], 0.0
    for weight in weights:
        edge += weight * stretch
        edges.append(edge)
    if stretch > 1.0:
        edges[-1] = max(edges[-1], wanted)  # whatever rounding says
    drawn, index = [], 0
    while index < len(edges):
        if point < edges[index]:
            drawn.append(index)
            point += 1
        else:
            index += 1
    return drawn
