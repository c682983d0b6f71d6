"""The plain way to sample: a whole forward of transformers' backbone for every token, ids typed as the token format has them."""

import numpy as np
import torch

from jobs.lm.model import LanguageModel
from jobs.lm.noise import gumbel
from jobs.lm.requests import SampleRequest
from pipeline.samples import Turn
from tests.jobs.lm.tiny import TEXT

CODES = list(TEXT.vocab.codes)  # the golden vocabulary is shuffled: by name alone
TEXT_IDS = list(range(16388, TEXT.vocab.size))  # where text begins in Chameleon's layout


def say(*words: str) -> tuple[Turn, ...]:
    return (Turn("user", words),)


def reference_answer(model: LanguageModel, request: SampleRequest, seed: int, limit: int = 512) -> tuple[list[int], list[int]]:
    """The context and the answer, without its end-of-turn."""
    context = dialogue(request, with_text=True)
    answer: list[int] = []
    images: list[list[int]] = []

    def pick(logits: torch.Tensor, allowed: list[int], noise: torch.Tensor, top_k: int) -> int:
        """`noise` of each allowed id."""
        values = logits[allowed]
        kept = values >= values.topk(min(top_k, len(allowed))).values[-1]
        return allowed[int(torch.where(kept, values / request.temperature + noise, -torch.inf).argmax())]

    def noise(count: int) -> torch.Tensor:
        return gumbel(seed, request.number, [len(answer)], count)[0]

    def draw_image() -> None:
        start = len(answer)

        def guided() -> torch.Tensor:
            full, none = last_logits(model, context + answer), last_logits(model, answer[start:])
            if request.image_guidance is None:
                return request.guidance * (full - none) + none
            before = dialogue(request, with_text=False) + [token for image in images for token in image]
            image = last_logits(model, before + answer[start:])
            return none + request.image_guidance * (image - none) + request.guidance * (full - image)

        answer.append(8197)
        room = limit - 1 - len(context) - start
        if request.size:
            width, height = (side // 32 for side in request.size)
            answer.extend([8804 + height, 8804 + width])
        else:
            height = pick_size(guided(), [n for n in range(1, 513) if 2 * n * 3 + 4 <= room])
            width = pick_size(guided(), [n for n in range(1, 513) if 2 * height * (2 * n + 1) + 4 <= room])
        for _ in range(2 * height):
            for _ in range(2 * width):
                answer.append(pick(guided(), CODES, noise(8192), request.image_top_k))
            answer.append(8803)
        answer.append(8196)
        images.append(answer[start:])

    def pick_size(logits: torch.Tensor, sizes: list[int]) -> int:
        answer.append(pick(logits, [8804 + n for n in sizes], noise(512)[[n - 1 for n in sizes]], request.image_top_k))
        return answer[-1] - 8804

    smallest = 10 if request.size is None else image_tokens(*request.size)
    if request.kind == "image":
        while len(images) < request.num_images and len(context) + len(answer) + smallest + 1 <= limit:
            draw_image()
        return context, answer
    while sum(token >= 16388 for token in answer) < request.max_text_tokens and len(context) + len(answer) + 1 < limit:
        allowed = [8710, *TEXT_IDS]
        if request.kind == "free" and len(images) < request.num_images and len(context) + len(answer) + smallest + 1 <= limit:
            allowed = [8197, *allowed]
        token = pick(last_logits(model, context + answer), allowed, noise(TEXT.vocab.size)[allowed], request.text_top_k)
        if token == 8710:
            break
        if token == 8197:
            draw_image()
        else:
            answer.append(token)
    return context, answer


def dialogue(request: SampleRequest, *, with_text: bool) -> list[int]:
    ids = [0]
    for turn in request.turns:
        for part in turn.content:
            if not isinstance(part, str):
                ids += image_ids(request.codes[part])
            elif with_text:
                ids += TEXT.encode(part)
        ids.append(8710)
    return ids


def image_ids(codes_HW: np.ndarray) -> list[int]:
    H, W = codes_HW.shape
    rows = [token for row in codes_HW.tolist() for token in (*(CODES[code] for code in row), 8803)]
    return [8197, 8804 + H // 2, 8804 + W // 2, *rows, 8196]


def image_tokens(width: int, height: int) -> int:
    return height // 16 * (width // 16 + 1) + 4


def last_logits(model: LanguageModel, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model.lm_head(model(torch.tensor([ids]), torch.arange(len(ids))[None])[0, -1])
