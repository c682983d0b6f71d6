"""Multiview: a prompt asks, pictures of one object from all sides answer, one directly behind the other.

    user       Generate 16 object views of 384x384 according to the following prompt: {caption}
    assistant  <image><image> ... <image>

Source: Lumina-mGPT (arXiv 2408.02657), section 3.2. 16 views of 384 x 384 are 9,664 tokens: `tokens.max_tokens` has to let them through.
"""

import random
from dataclasses import dataclass

from pipeline.buckets import fit_bucket, make_buckets
from pipeline.roles import VIEW, count_numbered, numbered
from pipeline.samples import Conversation, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framings
from tokenizer.tasks.wording import check_wordings, pick_wording, say

PROMPT = "Generate {num_views} object views of {width}x{height} according to the following prompt: {caption}"


@dataclass(frozen=True)
class Multiview:
    """The caption asks, the views answer. Of more views than wanted those are taken that lie evenly in their order."""

    num_views: int = 16  # pictures in an answer; of a sample with more, evenly spaced ones
    target_size: int = 384  # pixels, as [tokens] target_size; it holds for small views too
    wordings: tuple[str, ...] = (PROMPT,)  # one of them by sample

    def __post_init__(self) -> None:
        if self.num_views < 1:
            raise ValueError(f"num_views: at least 1 is wanted, got {self.num_views}")
        make_buckets(self.target_size)  # refuses what is no target
        check_wordings("wordings", self.wordings, ("num_views", "width", "height", "caption"))

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        found = count_numbered(framings, VIEW)
        if found < self.num_views:
            return Drop(sample.key, "too_few_views")
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        roles = [numbered(VIEW, 1 + number * found // self.num_views) for number in range(self.num_views)]
        sizes = {fit_bucket(framings[role].original_width, framings[role].original_height, self.target_size) for role in roles}
        if len(sizes) > 1:
            return Drop(sample.key, "views_differ_in_size")
        [(width, height)] = sizes
        values = {"num_views": self.num_views, "width": width, "height": height, "caption": sample.caption}
        prompt = say(pick_wording(self.wordings, rng), values)
        views = tuple(ImageRef(role, target_size=self.target_size) for role in roles)
        return Conversation(sample.key, "multiview", (Turn("user", prompt), Turn("assistant", views)))
