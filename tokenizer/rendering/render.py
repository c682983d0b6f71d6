"""From a reference in a dialogue to its pixels: decode, cut out, crop, draw upon, change.

What a role stores decides how it is resized: photographs and edges like the reference's pictures, maps as maps.py says, so that no class
is invented and normals keep their length.
"""

import numpy as np
from PIL import Image

from pipeline.images import Crop, apply_crop, decode_rgb
from pipeline.samples import ImageRef, Sample
from tokenizer.framing import part_pixels
from tokenizer.options import TokenOptions


class Renderer:
    """Draws the pictures of one sample; every file is decoded once."""

    def __init__(self, sample: Sample, options: TokenOptions):
        self._sample = sample
        self._options = options
        self._decoded: dict[str, Image.Image] = {}

    def draw(self, ref: ImageRef, crop: Crop) -> np.ndarray:
        """uint8 [H, W, 3] of the crop's size.

        Raises:
            PictureError: The stored picture cannot be decoded.
        """
        image = self._photo(ref.name)
        if ref.box is not None:
            image = image.crop(part_pixels(ref.box, image.width, image.height))
        return np.asarray(apply_crop(image, crop))

    def _photo(self, role: str) -> Image.Image:
        if role not in self._decoded:
            self._decoded[role] = decode_rgb(self._sample.images[role])
        return self._decoded[role]
