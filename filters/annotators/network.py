"""Ask a network of the transformers library about many pictures: inputs of one shape go through it together, nothing is padded.

Which inputs share a batch is a function of what is asked, in its order. Sharing one moves floating point sums in their last bits, and
nothing else.

Shapes: B inputs at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Found = TypeVar("Found")
Inputs = Mapping[str, Any]  # what a processor makes of one picture: tensors whose first axis is 1, by name


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the processor makes nothing of a picture."""

    message: str


def ask(
    network: Any,
    inputs: Iterable[Inputs | Refused],
    batch_size: int,
    read: Callable[[Any, Mapping[str, Any], list[int]], Sequence[Found]],
) -> list[Found | Refused]:
    """What the network finds, in the order of its inputs.

    Args:
        inputs: Taken one by one, so that few are in memory.
        batch_size: Inputs at once, at most.
        read: From the outputs of a batch (floats in float32), its inputs and their numbers, to what was found in each.
    """
    import torch

    answers: dict[int, Found | Refused] = {}

    def accepted() -> Iterator[tuple[int, Inputs]]:
        for number, each in enumerate(inputs):
            if isinstance(each, Refused):
                answers[number] = each
            else:
                yield number, each

    with torch.inference_mode():
        for numbers, batch in in_batches(accepted(), batch_size):
            placed = {name: _placed(value, network.device, network.dtype) for name, value in batch.items()}
            outputs = network(**placed)
            for name, value in outputs.items():
                if torch.is_tensor(value) and value.is_floating_point():
                    outputs[name] = value.float()
            answers |= zip(numbers, read(outputs, placed, numbers), strict=True)
    return [answers[number] for number in sorted(answers)]


def prepared(prepare: Callable[[int], Inputs], count: int) -> Iterator[Inputs | Refused]:
    """What a processor makes of `count` pictures, one after the other: each on its own, so that none is padded to another's size.

    Args:
        prepare: Given a picture's number. Its ValueError means that the processor refuses the picture, for its shape for example.
    """
    for number in range(count):
        try:
            yield prepare(number)
        except ValueError as error:
            yield Refused(str(error))


def in_batches(inputs: Iterable[tuple[int, Inputs]], batch_size: int) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Numbered inputs put together by shape: a batch when it is full, what is left at the end in the order of its first inputs."""
    waiting: dict[Any, list[tuple[int, Inputs]]] = {}
    for number, each in inputs:
        shape = tuple((name, tuple(getattr(value, "shape", ()))) for name, value in each.items())
        group = waiting.setdefault(shape, [])
        group.append((number, each))
        if len(group) == batch_size:
            yield _joined(waiting.pop(shape))
    for group in waiting.values():
        yield _joined(group)


def _joined(group: list[tuple[int, Inputs]]) -> tuple[list[int], dict[str, Any]]:
    import torch

    numbers, rows = [number for number, _ in group], [each for _, each in group]
    if len(rows) == 1:
        return numbers, dict(rows[0])
    return numbers, {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def _placed(value: Any, device: Any, dtype: Any) -> Any:
    import torch

    if not torch.is_tensor(value):
        return value
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)
