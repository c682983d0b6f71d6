"""Subjects: pictures of a thing, or of several, and a caption ask; a picture that shows them answers.

    user       Generate an image of 768x512 that shows the subject of <image> <image> according to the following prompt:\\n{caption}
    assistant  <image>

Not in the paper: the words follow its text to image.
"""

import random
from dataclasses import dataclass

from pipeline.buckets import make_buckets
from pipeline.roles import SUBJECT, count_numbered, numbered
from pipeline.samples import IMAGE_MARK, Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.task import lacks
from tokenizer.tasks.wording import check_wordings, pick_wording, say

PROMPT = "Generate an image of {width}x{height} that shows the subject of <|image|> according to the following prompt:\n{caption}"


@dataclass(frozen=True)
class Subject:
    """The subjects and the caption ask, the image answers."""

    wordings: tuple[str, ...] = (PROMPT,)  # one of them by sample; all subjects stand at the mark, a space between two
    max_subjects: int = 3  # pictures of subjects in a prompt: the first ones
    target_size: int = 256  # pixels of the subjects, as [tokens] target_size, which 0 stands for

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, ("width", "height", "caption"), num_images=1)
        if self.max_subjects < 1:
            raise ValueError(f"max_subjects: at least 1 is wanted, got {self.max_subjects}")
        if self.target_size:
            make_buckets(self.target_size)  # refuses what is no target

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        if drop := lacks(sample, framings, "image"):
            return drop
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        count = min(count_numbered(framings, SUBJECT), self.max_subjects)
        if count == 0:
            return Drop(sample.key, "no_subject")
        subjects = [ImageRef(numbered(SUBJECT, number), target_size=self.target_size) for number in range(1, count + 1)]
        width, height = framings["image"].size
        wording = pick_wording(self.wordings, rng).replace(IMAGE_MARK, " ".join([IMAGE_MARK] * count))
        prompt = say(wording, {"width": width, "height": height, "caption": sample.caption}, subjects)
        return Conversation(sample.key, "subject", (Turn("user", prompt), Turn("assistant", (ImageRef("image"),))))
