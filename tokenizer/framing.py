"""How the pictures of a sample are cut: one crop for all that must line up, and where boxes and points lie after it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.buckets import fit_bucket
from pipeline.dice import dice
from pipeline.images import Crop, have_same_shape, plan_crop
from pipeline.roles import is_aligned
from pipeline.samples import Box, ImageHeader, ImageRef, Sample
from tokenizer.options import TokenOptions


@dataclass(frozen=True, slots=True)
class Framing:
    """What a task knows of a picture of its sample: its sizes, and which part remains."""

    crop: Crop
    original_width: int  # pixels, upright, that the crop was planned for: the main picture's where this one lines up with it
    original_height: int
    is_aligned: bool = True  # it has the proportions of the main picture, where its role says that it lines up with it

    @property
    def size(self) -> tuple[int, int]:
        """Width and height after the crop, pixels."""
        return self.crop.width, self.crop.height

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point of the original, in fractions, as fractions of what remains; outside [0, 1] it is cut away."""
        crop = self.crop
        return (x * crop.scaled_width - crop.x) / crop.width, (y * crop.scaled_height - crop.y) / crop.height

    def box(self, box: Box) -> tuple[Box, float]:
        """A box of the original as one of what remains, cut at its borders, and the share of its area that is left, in [0, 1]."""
        (x0, y0), (x1, y1) = self.point(*box[:2]), self.point(*box[2:])
        clipped = tuple(min(max(value, 0.0), 1.0) for value in (x0, y0, x1, y1))
        whole = (x1 - x0) * (y1 - y0)
        left = (clipped[2] - clipped[0]) * (clipped[3] - clipped[1])
        return (clipped[0], clipped[1], clipped[2], clipped[3]), left / whole if whole > 0 else 0.0


Framings = Mapping[str, Framing]  # of each whole picture of a sample, by role


def frame_sample(sample: Sample, options: TokenOptions, seed: int) -> dict[str, Framing]:
    """Plan the crop of each picture. No pixel is decoded.

    Pictures that line up with the main one get its very crop, whatever their size; all others their own bucket, cut at the same place. A
    picture whose role says that it lines up, but whose proportions deny it, is one of the others, and marked as not aligned.
    """
    main = sample.main_role
    if main is None:
        return {}
    at = cut_place(sample.key, options, seed)
    header = sample.headers[main]
    crop = _own_crop(header, options, at)
    framings = {main: Framing(crop, header.width, header.height)}
    for role, other in sample.headers.items():
        if role == main:
            continue
        if lines_up(sample, role):
            framings[role] = Framing(crop, header.width, header.height)
        else:
            framings[role] = Framing(_own_crop(other, options, at), other.width, other.height, not is_aligned(role))
    if sample.poses and "pose" not in framings:
        framings["pose"] = framings[main]  # it will be drawn
    return framings


def frame_ref(ref: ImageRef, framings: Framings, options: TokenOptions, at: tuple[float, float] = (0.5, 0.5)) -> Crop:
    """The crop of a picture that stands in a dialogue: a part of an original, or one with a target size of its own, has its own bucket.

    A target size of its own is meant: a prompt may state it, so that smaller targets do not stand in for it.

    Args:
        at: Where the cut lies, as `cut_place` says.
    """
    framing = framings[ref.name]
    if ref.box is None and not ref.target_size:
        return framing.crop
    x0, y0, x1, y1 = part_pixels(ref.box, framing.original_width, framing.original_height)
    targets = (ref.target_size,) if ref.target_size else (options.target_size, options.smaller_targets)
    return plan_crop((x1 - x0, y1 - y0), fit_bucket(x1 - x0, y1 - y0, *targets), at)


def part_pixels(box: Box | None, width: int, height: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a part in pixels of the original: whole pixels, at least one, inside the picture."""
    if box is None:
        return 0, 0, width, height
    x0, y0 = (min(max(int(low * side), 0), side - 1) for low, side in ((box[0], width), (box[1], height)))
    x1, y1 = (min(max(round(high * side), low + 1), side) for high, side, low in ((box[2], width, x0), (box[3], height, y0)))
    return x0, y0, x1, y1


def cut_place(key: str, options: TokenOptions, seed: int) -> tuple[float, float]:
    """Where cuts lie in the slack of each axis, for all pictures of a sample: pictures of one size stay in line."""
    if options.crop == "center":
        return 0.5, 0.5
    rng = dice(seed, key, "crop")
    return rng.random(), rng.random()


def lines_up(sample: Sample, role: str) -> bool:
    """Whether a picture of the sample shows the main picture's pixels again, at whatever size; one that is not there will be drawn so."""
    main = sample.main_role
    if main is None or role == main or not is_aligned(role):
        return role == main
    return role not in sample.headers or have_same_shape(_size(sample.headers[main]), _size(sample.headers[role]))


def _own_crop(header: ImageHeader, options: TokenOptions, at: tuple[float, float]) -> Crop:
    size = _size(header)
    return plan_crop(size, fit_bucket(*size, options.target_size, options.smaller_targets), at)


def _size(header: ImageHeader) -> tuple[int, int]:
    return header.width, header.height
