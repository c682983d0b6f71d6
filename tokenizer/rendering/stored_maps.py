"""What a stored map says pixel by pixel, apart from how it is drawn: colours without alpha, and where they count."""

import numpy as np
from PIL import Image

OPAQUE = 128  # alpha from which a pixel counts


def is_deep(image: Image.Image) -> bool:
    """Whether its one channel holds more than 8 bits: integers of 16 or 32, or floats."""
    return image.mode.startswith("I") or image.mode == "F"


def is_opaque(image: Image.Image) -> np.ndarray:
    """[H, W] bool: where a map says something; transparent is where it does not."""
    if is_deep(image) or not image.has_transparency_data:
        return np.ones((image.height, image.width), bool)
    return np.asarray(image.convert("RGBA"))[..., 3] >= OPAQUE


def stored_colors(image: Image.Image) -> np.ndarray:
    """[H, W, 3] uint8: palettes looked up, alpha left out and laid over nothing.

    Args:
        image: Not deep.
    """
    return np.asarray(image.convert("RGBA") if image.has_transparency_data else image.convert("RGB"))[..., :3]
