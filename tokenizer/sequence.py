"""A conversation as one token sequence.

    <s>  turn text and images  end-of-turn  turn ...          no role names, no system text

Made in two steps, because the length is known before a pixel is decoded: `outline` encodes the text and leaves room for the images,
`fill` puts the image ids in. Loss falls on everything that an assistant turn contributes, its closing end-of-turn included.

Source: Lumina-mGPT, `FlexARItemProcessor.process_item` and `Conversation` (arXiv 2408.02657, section 3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.samples import Conversation, ImageRef, ImageSpan, TokenSequence, Turn
from tokenizer.layout import PIXELS_PER_CODE, image_length, image_to_ids
from tokenizer.text import TextTokenizer

CropSize = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True, slots=True)
class ImageSlot:
    """Room for an image in an outline."""

    ref: ImageRef
    start: int  # position of its start-of-image token
    height: int  # pixels
    width: int  # pixels


@dataclass(frozen=True, slots=True)
class Outline:
    """A sequence whose images are still to come."""

    conversation: Conversation
    text_ids: tuple[tuple[int, tuple[int, ...]], ...]  # position, ids
    slots: tuple[ImageSlot, ...]
    loss_spans: tuple[tuple[int, int], ...]
    length: int  # tokens


def outline(conversation: Conversation, sizes: Mapping[ImageRef, CropSize], text: TextTokenizer) -> Outline:
    """Encode the text of a conversation and lay out its images.

    Args:
        sizes: The crop size of every image that the conversation refers to.
    """
    vocab = text.vocab
    runs: list[tuple[int, tuple[int, ...]]] = [(0, (vocab.bos,))]
    slots: list[ImageSlot] = []
    loss_spans: list[tuple[int, int]] = []
    position = 1
    for turn in conversation.turns:
        start = position
        for part in _merged(turn):
            if isinstance(part, ImageRef):
                width, height = sizes[part]
                slots.append(ImageSlot(part, position, height, width))
                position += image_length(height, width)
            elif ids := text.encode(part):
                runs.append((position, tuple(ids)))
                position += len(ids)
        runs.append((position, (vocab.end_of_turn,)))
        position += 1
        if turn.role == "assistant":
            loss_spans.append((start, position))
    return Outline(conversation, tuple(runs), tuple(slots), tuple(loss_spans), position)


def fill(outlined: Outline, codes: Sequence[np.ndarray], text: TextTokenizer, caption: str, metadata: Mapping[str, Any]) -> TokenSequence:
    """Put the images into an outline.

    Args:
        codes: [H, W] integer for every slot, in the order of `outlined.slots`.
        caption: Stored beside the ids.
        metadata: Stored beside the ids; what JSON can hold.

    Raises:
        ValueError: Codes do not fit their slot.
    """
    vocab = text.vocab
    ids = np.empty(outlined.length, vocab.dtype)
    for position, run in outlined.text_ids:
        ids[position : position + len(run)] = run
    for slot, codes_HW in zip(outlined.slots, codes, strict=True):
        image_ids = image_to_ids(codes_HW, vocab)
        if len(image_ids) != image_length(slot.height, slot.width):
            raise ValueError(f"codes of {codes_HW.shape} do not fill an image of {slot.height} x {slot.width} pixels")
        ids[slot.start : slot.start + len(image_ids)] = image_ids
    return TokenSequence(
        key=outlined.conversation.key,
        task=outlined.conversation.task,
        input_ids=ids,
        loss_spans=outlined.loss_spans,
        images=tuple(ImageSpan(slot.start, slot.height, slot.width) for slot in outlined.slots),
        caption=caption,
        metadata=metadata,
    )


def image_refs(conversation: Conversation) -> list[ImageRef]:
    """The images of a conversation, in order, each once."""
    return list(dict.fromkeys(part for turn in conversation.turns for part in turn.content if isinstance(part, ImageRef)))


def generation_prompt(turns: Sequence[Turn], codes: Mapping[ImageRef, np.ndarray], text: TextTokenizer) -> np.ndarray:
    """The ids of a dialogue whose next answer is open: what a model is given to complete.

    Args:
        turns: User and assistant in turn; an assistant's turn at the end is left out, for it is what is asked for.
        codes: [H, W] integer for every image that the turns refer to.

    Returns:
        [L], the vocabulary's dtype.
    """
    kept = tuple(turns[:-1] if turns and turns[-1].role == "assistant" else turns)
    sizes = {ref: (codes_HW.shape[1] * PIXELS_PER_CODE, codes_HW.shape[0] * PIXELS_PER_CODE) for ref, codes_HW in codes.items()}
    outlined = outline(Conversation("", "", kept), sizes, text)
    return fill(outlined, [codes[slot.ref] for slot in outlined.slots], text, caption="", metadata={}).input_ids


def _merged(turn: Turn) -> list[str | ImageRef]:
    """A turn's content with neighbouring strings joined: they are encoded at once, as one text."""
    parts: list[str | ImageRef] = []
    for part in turn.content:
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return parts
