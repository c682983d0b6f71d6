"""Small tables from the host to the device, without waiting.

A copy from memory that is not pinned waits until the device has done all that it was told; so does every `torch.tensor(..., device=)`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def upload(values: Any, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor on the device from numbers, an array or a tensor on the host."""
    host = torch.from_numpy(values) if isinstance(values, np.ndarray) else torch.as_tensor(values, dtype=dtype)
    if device.type != "cuda":
        return host.to(device)
    return host.pin_memory().to(device, non_blocking=True)
