"""Samples for tasks: a picture with a caption, a dialogue, a text."""

import random

from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.tasks.task import CropSizes, Task

IMAGE = ImageRef("image")
SIZES = {IMAGE: (768, 512)}
PICTURE = Sample("fox", caption="a red fox", images={"image": b"picture"})
DIALOGUE = (Turn("user", ("What is this?", IMAGE)), Turn("assistant", ("A fox.",)))


def format_once(task: Task, sample: Sample, sizes: CropSizes = SIZES, seed: int = 0) -> Conversation | Drop:
    return task.format(sample, sizes, random.Random(seed))


def reason(result: Conversation | Drop) -> str:
    """Why a task cannot use a sample."""
    assert isinstance(result, Drop), result
    return result.reason
