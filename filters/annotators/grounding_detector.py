"""Detectors that read a text, and say which of its tokens a box shows: GroundingDINO, MM-GroundingDINO.

    "a man and his dog."    a caption; of a long one, a part
    "head. person."         phrases one after the other

Which box counts is the library's own rule (`post_process_grounded_object_detection`): its strongest token exceeds `box_threshold`.

Shapes: B rows, Q boxes of a row, T tokens.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from filters.annotators.checkpoint import commit_of
from filters.annotators.grounding import Asked, ask_caption, ask_labels, grounded_phrase, split_asked, strongest_label
from filters.annotators.network import Inputs, Refused, in_batches
from filters.annotators.overlaps import Found
from filters.annotators.phrases import words
from filters.annotators.search import DetectAnswer, DetectRequest, Search, Sought, corners, fitting, seek
from pipeline.samples import Box

Reader = Callable[[Box | None, float, Sequence[float]], Found | None]  # of a box, its confidence, and the scores of the tokens


@dataclass(frozen=True, slots=True)
class _Row:
    """What a grounding model is asked at once: a part of a caption, or phrases one after the other."""

    picture: int  # its number in the request
    asked: Asked | None  # a part of the caption
    sought: Sequence[Sought] = ()  # or these

    @property
    def text(self) -> str:
        return self.asked.text if self.asked else ask_labels([each.phrase for each in self.sought])[0]


@dataclass
class GroundingDetector:
    """A model that says which tokens of a text a box shows.

    Only pictures that the processor makes one size of share a batch: it would pad the others, and padding moves boxes.
    """

    model: Any
    processor: Any

    def __call__(self, request: DetectRequest) -> DetectAnswer:
        """
        Raises:
            RecipeError: A label is longer than what the model can be asked.
        """
        rows = [row for number, caption in enumerate(request.captions) for row in self._rows(number, caption, request.search)]
        refused: dict[int, Refused] = {}

        def accepted() -> Iterator[tuple[int, Inputs]]:
            for picture, texts in itertools.groupby(range(len(rows)), key=lambda number: rows[number].picture):
                pixels = self._pixels(request.pictures[picture])
                if isinstance(pixels, Refused):
                    refused[picture] = pixels
                else:
                    yield from ((number, pixels) for number in texts)

        boxes: dict[int, list[Found]] = {}
        for numbers, pixels in in_batches(accepted(), request.search.batch_size):
            boxes |= zip(numbers, self._ask([rows[number] for number in numbers], pixels, request), strict=True)
        found: list[list[Found]] = [[] for _ in request.pictures]
        for number, row in enumerate(rows):
            found[row.picture] += boxes.get(number, [])
        return DetectAnswer([refused.get(picture, each) for picture, each in enumerate(found)], commit_of(self.model))

    @property
    def max_tokens(self) -> int:
        """Of a text, with the two that enclose it."""
        return int(self.model.config.max_text_len)

    def _rows(self, number: int, caption: str, search: Search) -> Iterator[_Row]:
        is_grounded = search.phrases in ("auto", "grounded")
        if is_grounded and words(caption):
            asked = ask_caption(caption)
            tokens = self.processor.tokenizer(asked.text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            for part in split_asked(asked, tokens, self.max_tokens - 3):
                if words(part.text):
                    yield _Row(number, part)
        row: list[Sought] = []
        num_tokens = 2
        for each, count in fitting(seek(caption, search, with_caption=not is_grounded), self._count, self.max_tokens - 2):
            if num_tokens + count > self.max_tokens:
                yield _Row(number, None, row)
                row, num_tokens = [], 2
            row.append(each)
            num_tokens += count
        if row:
            yield _Row(number, None, row)

    def _count(self, phrase: str) -> int:
        return len(self.processor.tokenizer(ask_labels([phrase])[0], add_special_tokens=False)["input_ids"])

    def _pixels(self, picture_HW3: np.ndarray) -> Inputs | Refused:
        try:
            return dict(self.processor.image_processor(images=[Image.fromarray(picture_HW3)], return_tensors="pt"))
        except ValueError as error:
            return Refused(str(error))

    def _ask(self, rows: Sequence[_Row], pixels: Inputs, request: DetectRequest) -> Iterator[list[Found]]:
        import torch

        texts = self.processor.tokenizer(
            [row.text for row in rows],
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_offsets_mapping=True,
            return_token_type_ids=True,
            return_tensors="pt",
        )
        offsets_BT2 = texts.pop("offset_mapping").tolist()
        with torch.inference_mode():
            outputs = self.model(
                **texts.to(self.model.device),
                pixel_values=pixels["pixel_values"].to(self.model.device, self.model.dtype),
                pixel_mask=pixels["pixel_mask"].to(self.model.device),
            )
            scores_BQT = outputs.logits.float().sigmoid()
        best_BQ = scores_BQT.amax(-1)
        for row, offsets, scores_QT, best_Q, boxes_Q4 in zip(rows, offsets_BT2, scores_BQT, best_BQ, outputs.pred_boxes, strict=True):
            kept = best_Q > request.search.box_threshold
            boxes = [corners(box) for box in boxes_Q4[kept].tolist()]
            scores = scores_QT[kept, : len(offsets)].tolist()
            understand = self._caption_reader(row, offsets, request) if row.asked else self._list_reader(row, offsets, request)
            yield [found for found in map(understand, boxes, best_Q[kept].tolist(), scores) if found]

    @staticmethod
    def _caption_reader(row: _Row, offsets: Sequence[Sequence[int]], request: DetectRequest) -> Reader:
        assert row.asked is not None
        caption = request.captions[row.picture]
        caption_words = words(caption)
        spans = [row.asked.span(start, end) for start, end in offsets]

        def read(box: Box | None, confidence: float, scores: Sequence[float]) -> Found | None:
            phrase = grounded_phrase(caption, caption_words, list(zip(spans, scores, strict=True)), request.search.text_threshold)
            if box is None or phrase is None:
                return None
            span, core = phrase
            return Found(box, confidence, caption[slice(*span)], span, core)

        return read

    @staticmethod
    def _list_reader(row: _Row, offsets: Sequence[Sequence[int]], request: DetectRequest) -> Reader:
        _, places = ask_labels([each.phrase for each in row.sought])
        spans = [(start, end) for start, end in offsets]

        def read(box: Box | None, confidence: float, scores: Sequence[float]) -> Found | None:
            number = strongest_label(places, list(zip(spans, scores, strict=True)), request.search.text_threshold)
            return None if box is None or number is None else row.sought[number].found(box, confidence)

        return read
