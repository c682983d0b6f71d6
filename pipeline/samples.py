"""The things that flow. Read this file first.

    Sample --task--> Conversation --VQ encoder, layout--> TokenSequence

A source yields Samples; filters and annotators pass them on; a task turns one into a Conversation; the tokenizer makes a TokenSequence
of it. Everything here is frozen: a stage that changes a thing returns another one (`dataclasses.replace`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

IGNORE_INDEX = -100  # label of a token that takes no loss (the default of torch's cross_entropy)

IMAGE_MARK = "<|image|>"  # where an image stands, in texts that are written by people

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 as fractions of width and height, origin at the top left


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an encoded picture says of itself before it is decoded."""

    format: str  # as Pillow names it: "JPEG", "PNG", ...
    width: int  # pixels, after the EXIF orientation is applied
    height: int  # pixels, after the EXIF orientation is applied
    num_bytes: int
    num_frames: int = 1
    mode: str = "RGB"  # Pillow's mode of the stored pixels: "P", "CMYK", "I;16", ...
    orientation: int = 1  # EXIF tag 274; 1 is upright


@dataclass(frozen=True, slots=True)
class Detection:
    """A phrase of the caption, found in the image."""

    phrase: str
    box: Box
    confidence: float  # in [0, 1]
    span: tuple[int, int] | None = None  # the characters of the caption that say it


@dataclass(frozen=True, slots=True)
class Pose:
    """The body points of one person in the main picture."""

    points: tuple[tuple[float, float, float], ...]  # x, y as fractions of width and height, confidence in [0, 1]; 0 is not seen
    layout: str = "coco17"  # which points these are, and in which order


@dataclass(frozen=True, slots=True)
class Caption:
    """What a captioner said of the main picture, and where that comes from. The caption that the source brought is `Sample.caption`."""

    text: str
    source: str  # the captioner's name in the recipe
    model: str = ""
    revision: str = ""  # of the weights, where it is known
    prompt_hash: str = ""  # the first 16 digits of the prompt's sha256; empty without a prompt
    finish: Literal["stop", "length", "refused", "error"] = "stop"  # how the answer ended
    num_tokens: int | None = None  # that were generated; None where a server does not say
    flaw: str = ""  # why it is not used, in snake_case; empty: it may stand for the original
    clip_score: float | None = None  # cosine of its embedding and the picture's


@dataclass(frozen=True, slots=True)
class Mark:
    """A box that is drawn on a picture."""

    box: Box  # as fractions of the picture that it is drawn on: after the crop
    color: str = "red"  # as Pillow names it, or #rrggbb
    width: int = 3  # pixels of the line, inwards from the box


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a picture so that it cannot be copied from the prompt into the answer."""

    kind: Literal["crop", "flip", "noise", "gray"]
    values: tuple[float, ...] = ()  # crop: x0, y0, x1, y1 of what remains, as fractions; noise: standard deviation of 255, seed


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A place in a turn where an image stands: one of the sample's images, whole or a part of it, and what is done to it. No pixels."""

    name: str = "image"  # a role, see roles.py
    box: Box | None = None  # the part that is cut out, as fractions of the original; None: the whole, cropped to its bucket
    target_size: int = 0  # pixels, as [tokens] target_size, which 0 stands for
    marks: tuple[Mark, ...] = ()  # drawn after the crop
    changes: tuple[Change, ...] = ()  # done after the crop, in order


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says: text and images, in order."""

    role: Literal["user", "assistant"]
    content: tuple[str | ImageRef, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of an image-text dataset."""

    key: str  # unique in the dataset; no dot in it, for webdataset cuts a file's name at the first dot
    caption: str = ""
    images: Mapping[str, bytes] = field(default_factory=dict)  # role -> encoded picture; "image", "depth", "edited_1", ...
    headers: Mapping[str, ImageHeader] = field(default_factory=dict)  # role -> header; filled by the runner's first step
    turns: tuple[Turn, ...] = ()  # a dialogue that the source brings along (VQA, editing, text only)
    detections: tuple[Detection, ...] = ()
    poses: tuple[Pose, ...] = ()  # of the persons in the main picture
    scores: Mapping[str, float] = field(default_factory=dict)  # by score name, as the filters left them
    metadata: Mapping[str, Any] = field(default_factory=dict)  # url, licence, captioner, ...: what JSON can hold
    captions: tuple[Caption, ...] = ()  # generated ones, in the order of the recipe's captioners; `caption` is the original
    embeddings: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)  # by name, [D] float32; for the steps of one run

    @property
    def main_role(self) -> str | None:
        """The picture that the sample is about: `image`, or else its first one; None for text."""
        return "image" if "image" in self.images else next(iter(self.images), None)


@dataclass(frozen=True, slots=True)
class BadSample:
    """What a source yields for a record that it cannot make a Sample of: it goes into the ledger as failed."""

    key: str
    reason: str  # snake_case
    message: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drop:
    """What a stage returns in place of an item that it leaves out on purpose."""

    key: str
    reason: str  # snake_case
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A sample in the form of one task. Pixels stay in the sample: a turn refers to them."""

    key: str
    task: str
    turns: tuple[Turn, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)  # what the task chose, stored beside the tokens; what JSON can hold


@dataclass(frozen=True, slots=True)
class ImageSpan:
    """Where an image lies in a token sequence: `start` is the position of its start-of-image token."""

    start: int
    height: int  # pixels
    width: int  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class TokenSequence:
    """One training sequence: one row of a token shard."""

    key: str
    task: str
    input_ids: np.ndarray  # [L] uint16 or uint32, as the vocabulary needs
    loss_spans: tuple[tuple[int, int], ...]  # half-open, ascending, not touching; the tokens in them take loss
    images: tuple[ImageSpan, ...] = ()
    caption: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_loss_tokens(self) -> int:
        return sum(stop - start for start, stop in self.loss_spans)

    @property
    def labels(self) -> np.ndarray:
        """[L] int64: `input_ids` inside the loss spans, IGNORE_INDEX elsewhere. Not shifted."""
        labels = np.full(len(self.input_ids), IGNORE_INDEX, np.int64)
        for start, stop in self.loss_spans:
            labels[start:stop] = self.input_ids[start:stop]
        return labels
