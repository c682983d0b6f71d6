"""Vector quantizers: pictures to codes and back. A code is an index into the codebook, not yet a token id."""

from typing import Literal, Protocol

import numpy as np

from tokenizer.vq.chameleon import ChameleonVQ


class LoadedVQ(Protocol):
    """A quantizer with its weights in memory. A picture's codes do not depend on what else is in the batch."""

    def encode(self, pixels_BHWC: np.ndarray) -> np.ndarray:
        """uint8 RGB [B, H, W, 3] to codes, int32 [B, H / downsample, W / downsample]."""
        ...

    def decode(self, codes_BHW: np.ndarray) -> np.ndarray:
        """Codes [B, h, w] to uint8 RGB [B, h * downsample, w * downsample, 3]."""
        ...

    def code_vectors(self) -> np.ndarray:
        """What stands for each code inside: float32 [num_codes, E]."""
        ...


class VQ(Protocol):
    """What a recipe's `[tokens] vq` table builds: a frozen dataclass whose fields are its options. No torch until `load`."""

    dtype: Literal["float32", "bfloat16"]

    @property
    def downsample(self) -> int:
        """Pixels a side for one code."""
        ...

    @property
    def num_codes(self) -> int: ...

    def check(self) -> None:
        """Raises:
        RecipeError: A file is missing, or its config cannot be built.
        """
        ...

    def fingerprint(self) -> str:
        """sha256 over all that decides which codes come out."""
        ...

    def load(self) -> LoadedVQ:
        """Read the weights.

        Raises:
            RecipeError: The weights do not fit the config.
        """
        ...


VQ_BACKENDS: dict[str, type] = {"chameleon": ChameleonVQ}
