"""Small networks on top of CLIP's picture vector: what they are, how a file of them is recognised, and their arithmetic.

    name             tensors                                                        between layers      at the end
    linear           weight [1, D], bias [1]                                        -                   (as the filter says)
    layers_0_2_4_6_7 layers.N.weight, layers.N.bias for N = 0, 2, 4, 6, 7           nothing             nothing
    layers_0_to_16   the same for N = 0, 3, 6, 9, 12, 15, 16                        ReLU, not before 16 nothing
    linear_1_2_...   linear_1.weight, linear_1.bias, ...; norm.mean, norm.variance  ReLU                sigmoid

Weights are [outputs, inputs], as torch has them, in a .safetensors file or a .pth (or .pt, .ckpt) of tensors alone, perhaps below
`state_dict`. The arithmetic is numpy's in float64, one picture at a time and without BLAS, rounded to float32 at the end, so that a score
hangs neither on the number of threads nor on the batch.

Source: LAION's improved aesthetic predictor (layers_0_2_4_6_7; its dropouts do nothing here), aesthetic predictor v1 (linear) and
CLIP-based NSFW detector (linear_1_2_..., for L/14 and B/32 in the port to torch that NeMo Curator uses, too; layers_0_to_16 for H/14).
"""

import io
import pickle
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from safetensors import SafetensorError

from filters.clip import ClipModel
from filters.clip_stage import image_embeddings
from filters.pictures import one_score
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from pipeline.stage import Measured

Layout = Literal["linear", "layers_0_2_4_6_7", "layers_0_to_16", "linear_1_2_..."]
PROBABILITIES: tuple[Layout, ...] = ("linear_1_2_...", "layers_0_to_16", "linear")  # answers from 0 to 1
SEQUENTIAL: dict[tuple[int, ...], Layout] = {(0, 2, 4, 6, 7): "layers_0_2_4_6_7", (0, 3, 6, 9, 12, 15, 16): "layers_0_to_16"}
MIN_DEVIATION = 1e-7  # by which a vector is divided at least, as Keras's Normalization does it
_LAYER = re.compile(r"(layers\.|linear_)(\d+)\.(weight|bias)")


@dataclass(frozen=True, eq=False)
class Head:
    """A network of a few dense layers, in float64."""

    layout: Layout
    layers: tuple[tuple[np.ndarray, np.ndarray, bool], ...]  # weight [O, I], bias [O], whether a ReLU follows
    is_probability: bool  # a sigmoid is at the end
    mean: np.ndarray | float = 0.0  # [D], taken from the vector
    deviation: np.ndarray | float = 1.0  # [D], by which it is divided then

    @property
    def dimension(self) -> int:
        """D of the vectors that it takes."""
        return int(self.layers[0][0].shape[1])

    def __call__(self, vector_D: np.ndarray) -> float:
        """Its answer for an L2-normalised vector [D]."""
        x = (vector_D.astype(np.float64) - self.mean) / self.deviation
        for weight, bias, has_relu in self.layers:
            x = np.einsum("oi,i->o", weight, x) + bias
            x = np.maximum(x, 0) if has_relu else x
        value = np.exp(-np.logaddexp(0.0, -x[0])) if self.is_probability else x[0]
        return float(np.float32(value))


@dataclass(frozen=True)
class HeadFile:
    """A head's weights, as a filter names them. Read once a worker; `check` reads by itself, so that nothing travels with the plan."""

    path: str
    layouts: tuple[Layout, ...]  # those that make sense for the filter's score
    linear_is_probability: bool  # a sigmoid follows a single linear layer
    where: str  # the filter, for messages

    def check(self, clip: ClipModel) -> None:
        """
        Raises:
            RecipeError: No such file, none that is known, or one for vectors of another width than this CLIP's.
        """
        check_dimension(self._read(), clip, self.where)

    def fingerprint(self) -> str:
        """sha256 of the file."""
        return paths.sha256(self.path)

    def measure(self, samples: list[Sample], score: str, worst: Callable[..., float]) -> list[Measured]:
        """The answer for the worst (`min` or `max`) picture of each sample; of one without a picture there is nothing to judge."""
        answers = (worst((self.head(vector) for vector in image_embeddings(sample)), default=None) for sample in samples)
        return [one_score(score, answer) for answer in answers]

    @cached_property
    def head(self) -> Head:
        return self._read()

    def _read(self) -> Head:
        return read_head(self.path, self.layouts, self.linear_is_probability, self.where)


def read_head(path: str, layouts: Collection[Layout], linear_is_probability: bool, where: str) -> Head:
    """A head from its file.

    Args:
        layouts: Those that make sense for this score.
        linear_is_probability: A sigmoid follows a single linear layer.
        where: The filter, for the message.

    Raises:
        RecipeError: No path, no such file, no tensors in it, or a head of another layout.
    """
    if not path:
        raise RecipeError(
            f"{where}: off without weights: `weights` wants the file of a head on CLIP's picture vector ({', '.join(layouts)})"
        )
    tensors = {name: array.astype(np.float64) for name, array in _read_tensors(path).items()}
    if broken := [name for name, array in tensors.items() if not np.isfinite(array).all()]:
        raise RecipeError(f"{where}.weights: {path}: {broken[0]} has values that are no numbers")
    head = _parse(tensors, linear_is_probability)
    if head is None or head.layout not in layouts or not _fits_together(head):
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in sorted(tensors.items())[:4])
        raise RecipeError(f"{where}.weights: {path} is no head of the layout {' or '.join(layouts)}; it holds {shapes or 'nothing'}")
    return head


def check_dimension(head: Head, clip: ClipModel, where: str) -> None:
    """
    Raises:
        RecipeError: The head was made for vectors of another width than the model's.
    """
    if head.dimension != clip.dimension:
        raise RecipeError(
            f"{where}.weights: made for vectors of {head.dimension} numbers, and {clip.model} gives {clip.dimension}; "
            "take the CLIP model that it was made for"
        )


def _parse(tensors: Mapping[str, np.ndarray], linear_is_probability: bool) -> Head | None:
    names = set(tensors)
    if names == {"weight", "bias"}:
        return Head("linear", ((tensors["weight"], tensors["bias"], False),), linear_is_probability)
    found = [match for name in names if (match := _LAYER.fullmatch(name))]
    numbers = tuple(sorted({int(match[2]) for match in found}))
    prefixes = {match[1] for match in found}
    rest = names - {match[0] for match in found}
    if len(prefixes) != 1 or len(found) != 2 * len(numbers):
        return None
    [prefix] = prefixes
    pairs = [(tensors[f"{prefix}{number}.weight"], tensors[f"{prefix}{number}.bias"]) for number in numbers]
    last = len(pairs) - 1
    if prefix == "linear_" and numbers == tuple(range(1, len(numbers) + 1)) and rest in (set(), {"norm.mean", "norm.variance"}):
        layers = tuple((weight, bias, number < last) for number, (weight, bias) in enumerate(pairs))
        if not rest:
            return Head("linear_1_2_...", layers, True)
        deviation = np.maximum(np.sqrt(tensors["norm.variance"].ravel()), MIN_DEVIATION)
        return Head("linear_1_2_...", layers, True, tensors["norm.mean"].ravel(), deviation)
    if prefix == "layers." and not rest and numbers in SEQUENTIAL:
        layout = SEQUENTIAL[numbers]
        relus = last - 1 if layout == "layers_0_to_16" else 0
        return Head(layout, tuple((weight, bias, number < relus) for number, (weight, bias) in enumerate(pairs)), False)
    return None


def _fits_together(head: Head) -> bool:
    width = head.layers[0][0].shape[-1] if head.layers[0][0].ndim == 2 else 0
    if any(np.ndim(values) and np.shape(values) != (width,) for values in (head.mean, head.deviation)):
        return False
    for weight, bias, _ in head.layers:
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            return False
        width = weight.shape[0]
    return bool(width == 1)


def _read_tensors(path: str) -> dict[str, np.ndarray]:
    data = paths.read_bytes(path)
    try:
        if path.endswith(".safetensors"):
            from safetensors.numpy import load

            return dict(load(data))
        import torch

        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        loaded = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
        if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
            raise RecipeError(f"{path}: holds no tensors by name")
        return {str(name): value.float().numpy() for name, value in loaded.items()}
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise RecipeError(f"{path}: no file of tensors: {error}") from error
