"""From a reference in a dialogue to its pixels: decode, cut out a part, crop, draw upon, change.

    role                          drawn by
    segmentation, mask, mask_1    label_maps.py     ids by the nearest pixel, in a fixed palette
    depth                         depth_maps.py     bright is near
    normal                        normal_maps.py    unit vectors
    pose, where it is not stored  pose_drawing.py   from Sample.poses
    all others                    as photographs: pipeline.images.apply_crop; also edges and skeletons that come as pictures

A picture that lines up with the main one is drawn with a crop that was planned for the main one's pixels, at whatever size it is stored. A
part of it is then where the main picture's part is: of maps to a fraction of a pixel, of photographs to a whole one of their own.
"""

import re
from collections.abc import Callable

import numpy as np
from PIL import Image

from pipeline.images import Crop, apply_crop, decode_map, decode_rgb
from pipeline.samples import Box, ImageRef, Sample
from tokenizer.framing import lines_up, part_pixels
from tokenizer.options import TokenOptions
from tokenizer.rendering.changes import apply_changes
from tokenizer.rendering.depth_maps import draw_depth
from tokenizer.rendering.label_maps import draw_mask, draw_segmentation
from tokenizer.rendering.marks import draw_marks
from tokenizer.rendering.normal_maps import draw_normals
from tokenizer.rendering.pose_drawing import draw_poses
from tokenizer.rendering.resizing import part_of

LOSSY_FORMATS = ("JPEG", "MPO")
DEPTH_STORED = "depth_stored"  # in a sample's metadata: the convention of its depth map


class Renderer:
    """Draws the pictures of one sample; every file is decoded once."""

    def __init__(self, sample: Sample, options: TokenOptions):
        self._sample = sample
        self._options = options
        self._decoded: dict[str, Image.Image] = {}

    def draw(self, ref: ImageRef, crop: Crop) -> np.ndarray:
        """uint8 [H, W, 3] of the crop's size.

        Args:
            crop: As `tokenizer.framing.frame_ref` says.

        Raises:
            PictureError: The stored picture cannot be decoded, or is no map of its role's kind.
        """
        return apply_changes(draw_marks(self._cropped(ref, crop), ref.marks), ref.changes)

    def _cropped(self, ref: ImageRef, crop: Crop) -> np.ndarray:
        role = ref.name
        if role == "pose" and role not in self._sample.images:
            width, height = self._planned_size(role)
            x0, y0, x1, y1 = part_pixels(ref.box, width, height)
            return draw_poses(self._sample.poses, crop, (x0 / width, y0 / height, x1 / width, y1 / height))
        if role == "segmentation":
            return draw_segmentation(*self._map(ref, crop), self._is_lossy(role))
        if re.fullmatch(r"mask(_[1-9]\d*)?", role):
            return draw_mask(*self._map(ref, crop), self._is_lossy(role))
        if role == "depth":
            image, crop, part = self._map(ref, crop)
            return draw_depth(image, self._sample.metadata.get(DEPTH_STORED, self._options.stored_depth), crop, part)
        if role == "normal":
            return draw_normals(*self._map(ref, crop))
        return np.asarray(apply_crop(self._photo(ref), crop))

    def _map(self, ref: ImageRef, crop: Crop) -> tuple[Image.Image, Crop, Box]:
        image = self._decode(ref.name, decode_map)
        return image, crop, part_of(ref.box, self._planned_size(ref.name), image.size)

    def _photo(self, ref: ImageRef) -> Image.Image:
        image = self._decode(ref.name, decode_rgb)
        if ref.box is None:
            return image
        x0, y0, x1, y1 = (round(side) for side in part_of(ref.box, self._planned_size(ref.name), image.size))
        x0, y0 = min(x0, image.width - 1), min(y0, image.height - 1)
        return image.crop((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))

    def _planned_size(self, role: str) -> tuple[int, int]:
        """Width and height of the picture that this one's crop was planned for."""
        main = self._sample.main_role
        header = self._sample.headers[main if main is not None and lines_up(self._sample, role) else role]
        return header.width, header.height

    def _is_lossy(self, role: str) -> bool:
        return self._sample.headers[role].format in LOSSY_FORMATS

    def _decode(self, role: str, decode: Callable[[bytes], Image.Image]) -> Image.Image:
        if role not in self._decoded:
            self._decoded[role] = decode(self._sample.images[role])
        return self._decoded[role]
