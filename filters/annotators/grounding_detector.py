"""Detectors that read a text, and say which of its tokens a box shows: GroundingDINO, MM-GroundingDINO.

    "a man and his dog."    a caption; of a long one, a part
    "head. person."         phrases one after the other

Which box counts is the library's own rule (`post_process_grounded_object_detection`): its strongest token exceeds `box_threshold`.

Shapes: B rows, Q boxes of a row, T tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from filters.annotators.answers import Failure
from filters.annotators.grounding import Asked, ask_caption, ask_labels, grounded_phrase, split_asked, strongest_label
from filters.annotators.overlaps import Found
from filters.annotators.phrases import words
from filters.annotators.search import DetectRequest, Search, Sought, corners, fitting, seek
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

    Only pictures of one size share a batch: the processor would pad the others, and padding moves boxes.
    """

    model: Any
    processor: Any

    def __call__(self, request: DetectRequest) -> list[list[Found] | Failure]:
        """What is found in each picture, in the model's order; or why the processor refuses the picture.

        Raises:
            RecipeError: A label is longer than what the model can be asked.
        """
        found: list[list[Found]] = [[] for _ in request.pictures]
        rows = [row for number, caption in enumerate(request.captions) for row in self._rows(number, caption, request.search)]
        refused: dict[int, Failure] = {}
        by_size: dict[tuple[int, ...], list[_Row]] = {}
        for row in rows:
            by_size.setdefault(request.pictures[row.picture].shape, []).append(row)
        for alike in by_size.values():
            for start in range(0, len(alike), request.search.batch_size):
                batch = alike[start : start + request.search.batch_size]
                pixels = self._pixels([Image.fromarray(request.pictures[row.picture]) for row in batch])
                if isinstance(pixels, Failure):
                    refused |= {row.picture: pixels for row in batch}
                    continue
                for row, boxes in zip(batch, self._ask(batch, pixels, request), strict=True):
                    found[row.picture] += boxes
        return [refused.get(number, boxes) for number, boxes in enumerate(found)]

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

    def _pixels(self, images: Sequence[Image.Image]) -> Any:
        """What the processor makes of pictures of one size; or a Failure: it can shrink a long and narrow one to nothing."""
        try:
            return self.processor.image_processor(images=list(images), return_tensors="pt").to(self.model.device, self.model.dtype)
        except ValueError as error:
            return Failure("detect_picture_unusable", f"{images[0].width} x {images[0].height}: {error}")

    def _ask(self, rows: Sequence[_Row], pixels: Any, request: DetectRequest) -> Iterator[list[Found]]:
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
            outputs = self.model(**texts.to(self.model.device), **pixels)
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
