"""Weight files of a VQGAN: `vqgan.ckpt` as published (a torch checkpoint with the key `state_dict`) or `.safetensors`.

What training left beside the network (`loss.*`: discriminator and perceptual net) is ignored. Any other key that is missing, left over or
of another shape is an error that names it: the reference loads with `strict=False`, and a wrong checkpoint goes unnoticed.
"""

import pickle
from typing import TYPE_CHECKING

from pipeline.errors import RecipeError
from pipeline.paths import commit_bytes, read_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from tokenizer.vq.network import VQGAN

IGNORED_PREFIX = "loss."
NAMED = 5  # keys that a message spells out


def read_weights(path: str) -> "dict[str, Tensor]":
    """Tensors by name, in the file's own number types.

    Raises:
        RecipeError: No such file, or no weights in it.
    """
    import io

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = read_bytes(path)
    try:
        if path.endswith(".safetensors"):
            tensors = load(data)
        else:
            document = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            tensors = document["state_dict"]
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        reason = "no key 'state_dict'" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise RecipeError(f"{path}: no weights of a VQGAN ({reason})") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise RecipeError(f"{path}: no weights of a VQGAN (`state_dict` is no table of tensors)")
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(IGNORED_PREFIX)}


def load_weights(network: "VQGAN", tensors: "dict[str, Tensor]", where: str) -> None:
    """Put tensors into a network, all of them and no others.

    Args:
        network: Changed in place; keeps its number type.
        tensors: By name, any floating type.
        where: The file, for the message.

    Raises:
        RecipeError: Names the keys that are missing, left over or of another shape.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    faults = []
    if missing := sorted(wanted.keys() - found.keys()):
        faults.append(f"missing {_listed(missing)}")
    if extra := sorted(found.keys() - wanted.keys()):
        faults.append(f"unexpected {_listed(extra)}")
    if other := sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name]):
        faults.append("of another shape " + _listed([f"{name} {found[name]} (the config says {wanted[name]})" for name in other]))
    if faults:
        raise RecipeError(f"{where}: these weights do not fit the config: {'; '.join(faults)}")
    network.load_state_dict(tensors)


def save_weights(network: "VQGAN", path: str, half_precision: bool) -> None:
    """Write a `.safetensors` file.

    Args:
        network: Not changed.
        path: Ends in `.safetensors`.
        half_precision: Store float16: half the size, and more digits than bfloat16 has.
    """
    import torch
    from safetensors.torch import save

    dtype = torch.float16 if half_precision else torch.float32
    commit_bytes(path, save({name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in network.state_dict().items()}))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
