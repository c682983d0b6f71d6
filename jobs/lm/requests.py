"""What is asked of the sampler, and what comes back. Loads no library.

    sampler = Sampler(model, text, names, num_codes, seed=0, batch_size=8, jacobi_window=0)   of jobs.lm.sampling.sampler
    for result in sampler.sample(requests, on_row=None):                                      as they finish, in any order
        result.sequence                                                                       the whole dialogue, as shards keep it
        read_answer(result, text)                                                             its text and codes [H, W], in order

    on_row(number, image, row, codes_W)      a row of codes is final: of which request, its how manieth image, from the top; [W] int64

A result depends on the model, the seed and its own request, not on the batch that it was made in, nor on its place in there.

Guidance, from start-of-image to the end of the image, with full = the dialogue so far, image = its images without its text, none = nothing:

    guidance alone       none + guidance (full - none)
    and image_guidance   none + image_guidance (image - none) + guidance (full - image)

Source: Lumina-mGPT, `FlexARInferenceSolver` (one scale); InstructPix2Pix (arXiv 2211.09800), equation 3 (two scales).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.samples import ImageRef, TokenSequence, Turn
from tokenizer.layout import ids_to_image, image_length
from tokenizer.text import TextTokenizer

OnRow = Callable[[int, int, int, np.ndarray], None]


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """A dialogue whose next answer is asked for."""

    number: int  # no two requests of a run share one
    turns: tuple[Turn, ...]  # user and assistant in turn, the user's last
    codes: Mapping[ImageRef, np.ndarray] = field(default_factory=dict)  # [H, W] of every image that the turns refer to
    kind: Literal["image", "text", "free"] = "image"  # the answer's form: images alone, text alone, or what the model likes
    size: tuple[int, int] | None = None  # width, height in pixels of the answer's images; None: the model chooses
    num_images: int = 1  # in an answer of images; in a free one, at most
    guidance: float = 1.0  # 1: without, and half the work
    image_guidance: float | None = None  # of the dialogue's images, apart from its text; None: one scale for all
    temperature: float = 1.0
    image_top_k: int = 2000
    text_top_k: int = 5
    max_text_tokens: int = 512  # of the answer's text; images do not count
    key: str = ""  # of the sequence; empty: the number
    task: str = "text_to_image"  # of the sequence
    caption: str = ""  # of the sequence
    noise: tuple[int, int] | None = None  # seed and number that the noise is drawn by; None: the sampler's seed, the request's number

    def __post_init__(self) -> None:
        if not self.turns or self.turns[-1].role != "user":
            raise ValueError("the last turn of a request is the user's")
        for name in ("num_images", "temperature", "image_top_k", "text_top_k", "max_text_tokens"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is above 0, got {getattr(self, name)}")
        if self.image_guidance is not None and not any(isinstance(part, ImageRef) for turn in self.turns for part in turn.content):
            raise ValueError("image_guidance is for dialogues that show an image")

    def noise_of(self, seed: int) -> tuple[int, int]:
        """Seed and number that the noise is drawn by, given the sampler's seed."""
        return self.noise or (seed, self.number)


@dataclass(frozen=True, slots=True, eq=False)
class SampleResult:
    """An answer."""

    number: int  # the request's
    sequence: TokenSequence  # from begin-of-sequence to the answer's end-of-turn
    answer_start: int  # position of the answer's first token
    finish: Literal["stop", "length"]  # length: the model was cut off, and end-of-turn put there
    num_codes: int  # image codes that were drawn
    num_code_steps: int  # passes through the model that it took to draw them; fewer than codes with a Jacobi window

    @property
    def steps_saved(self) -> int:
        return self.num_codes - self.num_code_steps


def read_answer(result: SampleResult, text: TextTokenizer) -> list[str | np.ndarray]:
    """An answer's parts in order: text, and [H, W] int32 codes of images."""
    parts: list[str | np.ndarray] = []
    ids, at = result.sequence.input_ids, result.answer_start
    for image in result.sequence.images:
        if image.start >= result.answer_start:
            stop = image.start + image_length(image.height, image.width)
            parts += [text.decode(ids[at : image.start].tolist()), ids_to_image(ids[image.start : stop], text.vocab)]
            at = stop
    return [part for part in (*parts, text.decode(ids[at:-1].tolist())) if not isinstance(part, str) or part]
