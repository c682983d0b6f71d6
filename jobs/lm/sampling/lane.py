"""One answer as it grows: which tokens are there, what may come next, and when it ends. No model, no device.

    TEXT --start-of-image--> HEIGHT --> WIDTH --> CODES --(more images)--> HEIGHT or TEXT
      |                                             |
      +--end-of-turn, limit----> DONE <-------------+         where the request says the size, HEIGHT and WIDTH are passed over

A place is an index into the dialogue, the context included.
"""

from collections.abc import Sequence
from enum import Enum, auto

import numpy as np

from jobs.lm.requests import SampleRequest, SampleResult
from pipeline.errors import RecipeError
from pipeline.samples import ImageRef, ImageSpan, TokenSequence, Turn
from tokenizer.grammar import Slot, check_sequence, find_images, find_loss_spans, forced_id, image_slots
from tokenizer.layout import PIXELS_PER_GRID, image_length
from tokenizer.sequence import generation_prompt
from tokenizer.text import TextTokenizer

SMALLEST = image_length(PIXELS_PER_GRID, PIXELS_PER_GRID)


class Mode(Enum):
    """What the next token is."""

    TEXT = auto()
    HEIGHT = auto()
    WIDTH = auto()
    CODES = auto()
    DONE = auto()


class Lane:
    """An answer in the making.

    Args:
        max_tokens: The longest sequence that the model was made for.

    Raises:
        RecipeError: There is no room for what is asked.
    """

    def __init__(self, request: SampleRequest, text: TextTokenizer, max_tokens: int):
        self.request = request
        self._text, self._vocab, self._max_tokens = text, text.vocab, max_tokens
        self.ids: list[int] = generation_prompt(request.turns, request.codes, text).tolist()  # 0 where a code is still to be drawn
        self.answer_start = len(self.ids)
        self.mode = Mode.TEXT
        self.image_start = 0  # place of the last image's start-of-image
        self.code_places = np.empty(0, np.int64)  # of the last image
        self.num_decided = 0  # of the last image's codes
        self.num_codes = self.num_code_steps = 0
        self._images: list[ImageSpan] = []  # of the answer
        self._num_text = 0
        self._finish: str = "stop"
        self._refuse_too_long()
        if request.kind == "image":
            self._start_image()

    @property
    def in_image(self) -> bool:
        return self.mode in (Mode.HEIGHT, Mode.WIDTH, Mode.CODES)

    @property
    def num_known(self) -> int:
        """Places from the beginning up to the first that is not decided."""
        if self.mode is Mode.CODES:
            return int(self.code_places[self.num_decided])
        return len(self.ids)

    @property
    def most_tokens(self) -> int:
        """How long it can become."""
        request, longest = self.request, self._max_tokens
        if request.kind == "image":
            longest = self.answer_start + request.num_images * image_length(*request.size[::-1]) + 1 if request.size else longest
        elif request.kind == "text":
            longest = self.answer_start + request.max_text_tokens + 1
        return min(longest, self._max_tokens)

    @property
    def may_start_image(self) -> bool:
        """Whether start-of-image is among the choices."""
        return self.request.kind == "free" and len(self._images) < self.request.num_images and self._has_room_for_image()

    @property
    def max_grids(self) -> int:
        """The largest size token that leaves room for the image."""
        room, limit = self._max_tokens - 1 - self.image_start, len(self._vocab.sizes) - 1
        if self.mode is Mode.HEIGHT:
            fits = [image_length(n * PIXELS_PER_GRID, PIXELS_PER_GRID) <= room for n in range(1, limit + 1)]
        else:
            height = int(self._vocab.id_to_size[self.ids[-1]]) * PIXELS_PER_GRID
            fits = [image_length(height, n * PIXELS_PER_GRID) <= room for n in range(1, limit + 1)]
        return sum(fits)

    def take(self, token: int) -> None:
        """Go on with a token of text, or a size token."""
        if self.mode is Mode.TEXT and token == self._vocab.end_of_turn:
            self.mode = Mode.DONE
        elif self.mode is Mode.TEXT and token == self._vocab.start_of_image:
            self._start_image()
        elif self.mode is Mode.TEXT:
            self.ids.append(token)
            self._num_text += 1
            if self._num_text >= self.request.max_text_tokens or len(self.ids) + 1 >= self._max_tokens:
                self._cut_off()
        elif self.mode is Mode.HEIGHT:
            self.ids.append(token)
            self.mode = Mode.WIDTH
        else:
            height, width = (int(self._vocab.id_to_size[size]) * PIXELS_PER_GRID for size in (self.ids[-1], token))
            del self.ids[self.image_start :]
            self._lay_out(height, width)

    def end_image(self, codes: Sequence[int]) -> None:
        """Put an image's code ids in, and go on behind it."""
        for place, token in zip(self.code_places.tolist(), codes, strict=True):
            self.ids[place] = token
        request = self.request
        if request.kind == "free":
            self.mode = Mode.TEXT
            if len(self.ids) + 1 >= self._max_tokens:
                self._cut_off()
        elif len(self._images) == request.num_images:
            self.mode = Mode.DONE
        elif self._has_room_for_image():
            self._start_image()
        else:
            self._cut_off()

    def image_context(self) -> list[int]:
        """The dialogue up to the last start-of-image without its text: images and ends of turns."""
        turns = [Turn(turn.role, tuple(part for part in turn.content if isinstance(part, ImageRef))) for turn in self.request.turns]
        ids: list[int] = generation_prompt(turns, self.request.codes, self._text).tolist()
        for image in self._images:
            if image.start < self.image_start:
                ids += self.ids[image.start : image.start + image_length(image.height, image.width)]
        return ids

    def result(self) -> SampleResult:
        """The whole dialogue."""
        vocab, request = self._vocab, self.request
        ids = np.array([*self.ids, vocab.end_of_turn], vocab.dtype)
        spans, images = find_loss_spans(ids, vocab), find_images(ids, vocab)
        if problems := check_sequence(ids, spans, images, vocab):
            raise RuntimeError(f"sampled a sequence that breaks the grammar: {problems}")
        key = request.key or f"{request.number:04d}"
        sequence = TokenSequence(key, request.task, ids, spans, images, caption=request.caption)
        finish = "length" if self._finish == "length" else "stop"
        return SampleResult(request.number, sequence, self.answer_start, finish, self.num_codes, self.num_code_steps)

    @property
    def num_images(self) -> int:
        return len(self._images)

    @property
    def row_width(self) -> int:
        """Codes a row of the last image."""
        return self._images[-1].width * 2 // PIXELS_PER_GRID

    def _start_image(self) -> None:
        self.image_start = len(self.ids)
        if self.request.size:
            width, height = self.request.size
            self._lay_out(height, width)
        else:
            self.ids.append(self._vocab.start_of_image)
            self.mode = Mode.HEIGHT

    def _lay_out(self, height: int, width: int) -> None:
        slots = image_slots(height, width)
        self.code_places = self.image_start + np.flatnonzero(slots == Slot.CODE)
        self.num_decided = 0
        forced = {slot: forced_id(slot, height, width, self._vocab) or 0 for slot in Slot}
        self.ids += [forced[Slot(slot)] for slot in slots.tolist()]
        self._images.append(ImageSpan(self.image_start, height, width))
        self.mode = Mode.CODES

    def _has_room_for_image(self) -> bool:
        wanted = image_length(*self.request.size[::-1]) if self.request.size else SMALLEST
        return len(self.ids) + wanted + 1 <= self._max_tokens

    def _cut_off(self) -> None:
        self.mode, self._finish = Mode.DONE, "length"

    def _refuse_too_long(self) -> None:
        request, wanted = self.request, self.answer_start + 2  # a token of text and end-of-turn
        if request.kind == "image":
            images = request.num_images * image_length(*request.size[::-1]) if request.size else SMALLEST
            wanted = self.answer_start + images + 1
        if wanted > self._max_tokens:
            raise RecipeError(f"sample: prompt and answer take {wanted} tokens, the model was made for {self._max_tokens}")
