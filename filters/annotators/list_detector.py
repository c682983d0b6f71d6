"""Detectors that take a list of phrases, and say which of them a box shows: OWL-ViT, OWLv2.

Which box counts is the library's own rule (`post_process_grounded_object_detection`): its strongest phrase exceeds `box_threshold`.

Shapes: B rows, Q boxes of a row, P phrases, L tokens of a phrase.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from filters.annotators.overlaps import Found
from filters.annotators.search import DetectRequest, Sought, corners, fitting, seek


@dataclass
class ListDetector:
    """A model that says which phrase of a list a box shows. It sees all pictures at one size, so that any share a batch."""

    model: Any
    processor: Any
    is_padded_square: bool  # pictures are padded to a square, whose fractions the boxes are

    def __call__(self, request: DetectRequest) -> list[list[Found]]:
        """What is found in each picture, in the model's order.

        Raises:
            RecipeError: A label is longer than what the model can be asked.
        """
        found: list[list[Found]] = [[] for _ in request.pictures]
        rows = []
        for number, caption in enumerate(request.captions):
            sought = [each for each, _ in fitting(seek(caption, request.search, with_caption=True), self._count, self.max_tokens)]
            if sought:
                rows.append((number, sought))
        for start in range(0, len(rows), request.search.batch_size):
            batch = rows[start : start + request.search.batch_size]
            pictures = [request.pictures[number] for number, _ in batch]
            boxes = self._ask(pictures, [sought for _, sought in batch], request.search.box_threshold)
            for (number, _), each in zip(batch, boxes, strict=True):
                found[number] = each
        return found

    @property
    def max_tokens(self) -> int:
        """Of a phrase, with the two that enclose it."""
        return int(self.model.config.text_config.max_position_embeddings)

    def _count(self, phrase: str) -> int:
        return len(self.processor.tokenizer(phrase)["input_ids"])

    def _ask(self, pictures: Sequence[np.ndarray], lists: Sequence[Sequence[Sought]], threshold: float) -> Iterator[list[Found]]:
        import torch

        num_phrases = max(len(sought) for sought in lists)
        ids_BPL = torch.zeros(len(lists), num_phrases, self.max_tokens, dtype=torch.long)  # 0 in front is no phrase: it gets no score
        mask_BPL = torch.ones_like(ids_BPL)
        for row, sought in enumerate(lists):
            texts = [each.phrase for each in sought]
            tokens = self.processor.tokenizer(texts, padding="max_length", max_length=self.max_tokens, return_tensors="pt")
            ids_BPL[row, : len(sought)], mask_BPL[row, : len(sought)] = tokens["input_ids"], tokens["attention_mask"]
        images = [Image.fromarray(picture) for picture in pictures]
        pixels = self.processor.image_processor(images=images, return_tensors="pt").to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            outputs = self.model(
                input_ids=ids_BPL.flatten(0, 1).to(self.model.device),
                attention_mask=mask_BPL.flatten(0, 1).to(self.model.device),
                pixel_values=pixels["pixel_values"],
            )
        scores_BQP = outputs.logits.float().sigmoid()
        for picture, sought, scores_QP, boxes_Q4 in zip(pictures, lists, scores_BQP, outputs.pred_boxes, strict=True):
            best_Q, number_Q = scores_QP.max(-1)
            kept = best_Q > threshold
            height, width = picture.shape[:2]
            shown = (max(height, width) / width, max(height, width) / height) if self.is_padded_square else (1.0, 1.0)
            boxes = [corners(box, *shown) for box in boxes_Q4[kept].tolist()]
            numbers, scores = number_Q[kept].tolist(), best_Q[kept].tolist()
            yield [sought[n].found(box, score) for box, n, score in zip(boxes, numbers, scores, strict=True) if box]
