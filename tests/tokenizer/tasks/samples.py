"""Samples for tasks: a picture with a caption, a dialogue, a text."""

import random

from pipeline.images import plan_crop
from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framing, Framings
from tokenizer.tasks.task import Task

IMAGE = ImageRef("image")


def framing(width: int = 768, height: int = 512, crop: tuple[int, int] | None = None, is_aligned: bool = True) -> Framing:
    """Of a picture of this size that is cut to `crop`, or not at all."""
    return Framing(plan_crop((width, height), crop or (width, height)), width, height, is_aligned)


FRAMINGS = {"image": framing()}
PICTURE = Sample("fox", caption="a red fox", images={"image": b"picture"})
DIALOGUE = (Turn("user", ("What is this?", IMAGE)), Turn("assistant", ("A fox.",)))


def format_once(task: Task, sample: Sample, framings: Framings = FRAMINGS, seed: int = 0) -> Conversation | Drop:
    return task.format(sample, framings, random.Random(seed))


def reason(result: Conversation | Drop) -> str:
    """Why a task cannot use a sample."""
    assert isinstance(result, Drop), result
    return result.reason
