"""Pictures that a model in training draws, for the same captions and with the same noise every time.

    OUTPUT/train/grids/step-000500.png      original | drawn    original | drawn  ...     the originals are decoded from their tokens

The captions stand in the file's text chunks, from left to right, line by line, with the settings and whether they were held out.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from transformers.models.chameleon.modeling_chameleon import ChameleonRotaryEmbedding

from jobs.lm.batches import DROPPABLE_TASK
from jobs.lm.folder import read_names
from jobs.lm.model import LanguageModel
from jobs.lm.modes import plain_weights
from jobs.lm.options import SampleOptions
from jobs.lm.parallel import Ranks
from jobs.lm.requests import SampleRequest, read_answer
from jobs.lm.sampling.lane import Lane
from jobs.lm.sampling.sampler import Sampler
from jobs.lm.train_data import TrainData
from pipeline.errors import RecipeError
from pipeline.paths import commit_bytes
from pipeline.samples import TokenSequence, Turn
from tokenizer.layout import ids_to_image, image_length
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.text import TextTokenizer

GRIDS_FOLDER = "grids"
GRID_NAME = "step-{:06d}.png"
GAP = 8  # pixels between pairs


@dataclass(frozen=True)
class Grid:
    """What is drawn at each time, and beside what."""

    requests: tuple[SampleRequest, ...]
    originals: tuple[np.ndarray, ...]  # [H, W] codes each
    are_held_out: bool
    text: TextTokenizer
    text_path: str
    options: SampleOptions
    seed: int
    num_codes: int
    load_vq: Callable[[], Any]  # what it gives decodes codes [1, H, W]

    def draw(self, model: LanguageModel) -> np.ndarray:
        """[height, width, 3] uint8. The model is in evaluation mode."""
        options = self.options
        sampler = Sampler(
            model,
            self.text,
            read_names(self.text_path),
            self.num_codes,
            seed=self.seed,
            batch_size=options.batch_size,
            jacobi_window=options.jacobi_window,
        )
        drawn = {result.number: read_answer(result, self.text)[0] for result in sampler.sample(self.requests)}
        vq = self.load_vq()
        pairs = []
        for request, original in zip(self.requests, self.originals, strict=True):
            pairs.append(np.concatenate([vq.decode(codes[None])[0] for codes in (original, drawn[request.number])], 1))
        return lay_out_pictures(pairs)

    def png(self, pixels_HWC: np.ndarray, step: int) -> bytes:
        """A grid as a file."""
        options = self.options
        said: dict[str, object] = {"step": step, "seed": self.seed, "captions from": "held out" if self.are_held_out else "trained on"}
        said |= {name: getattr(options, name) for name in ("guidance", "temperature", "image_top_k")}
        said |= {f"caption {number}": request.caption for number, request in enumerate(self.requests, 1)}
        chunks = PngInfo()
        for name, value in said.items():
            chunks.add_itxt(name, str(value))
        file = io.BytesIO()
        Image.fromarray(pixels_HWC).save(file, "PNG", pnginfo=chunks)
        return file.getvalue()


def plan_grid(
    data: TrainData, options: SampleOptions, *, count: int, seed: int, num_codes: int, load_vq: Callable[[], Any], max_tokens: int
) -> Grid:
    """Choose captions: of held-out samples where there are any that fit, else of those that are trained on, spread over all of them.

    Args:
        num_codes: Of the VQ that decodes.
        max_tokens: The longest sequence that the model will be made for.

    Raises:
        RecipeError: There are no text-to-image sequences.
    """
    text = TextTokenizer(data.shards.text_tokenizer)
    for numbers, are_held_out in ((data.held_out, True), (data.trained_on, False)):
        chosen = _choose(data, numbers, options, count=count, text=text, max_tokens=max_tokens)
        if chosen:
            requests, originals = zip(*chosen, strict=True)
            seed = seed if options.seed is None else options.seed
            codes = min(num_codes, len(text.vocab.codes))
            return Grid(requests, originals, are_held_out, text, data.shards.text_tokenizer, options, seed, codes, load_vq)
    raise RecipeError(f"train.grid_every: {data.shards.folder} has no sequence of task {DROPPABLE_TASK} to draw anew")


def sampling_model(model: LanguageModel, dtype: torch.dtype, ranks: Ranks) -> LanguageModel | None:
    """A model that the sampler takes: the model itself, or the first rank's copy of one that is divided; the other ranks have none.

    All ranks must call this together.
    """
    if ranks.mesh is None:
        return model
    weights = {}
    for name, tensor in plain_weights(model):
        if ranks.first:
            weights[name] = tensor.to(dtype)
    if not ranks.first:
        return None
    with torch.device("meta"):
        copy = LanguageModel(model.config)
    copy.load_state_dict(weights, assign=True)
    copy.tie()
    copy.model.rotary_emb = ChameleonRotaryEmbedding(model.config).to(copy.device)
    return copy


def draw_grid(grid: Grid, model: LanguageModel, train_folder: Path, step: int, *, dtype: torch.dtype, ranks: Ranks) -> np.ndarray | None:
    """Draw a grid with a model in training, and write it; the pixels on the first rank. All ranks must call this together.

    Args:
        dtype: Of a model that is put together from many ranks.
    """
    model.eval()
    whole_model = sampling_model(model, dtype, ranks)
    pixels_HWC = None
    if whole_model is not None:
        pixels_HWC = grid.draw(whole_model.eval())
        commit_bytes(str(train_folder / GRIDS_FOLDER / GRID_NAME.format(step)), grid.png(pixels_HWC, step))
    model.train()
    ranks.wait()
    return pixels_HWC


def lay_out_pictures(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures [height, width, 3] in rows and columns on white, about as wide as high."""
    height, width = (max(picture.shape[axis] for picture in pictures) + GAP for axis in (0, 1))
    columns = min(len(pictures), max(1, round(math.sqrt(len(pictures) * height / width))))
    sheet = np.full((height * -(-len(pictures) // columns) - GAP, width * columns - GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def _choose(
    data: TrainData, numbers: np.ndarray, options: SampleOptions, *, count: int, text: TextTokenizer, max_tokens: int
) -> list[tuple[SampleRequest, np.ndarray]]:
    tasks = data.shards.index["task"].combine_chunks()
    names = tasks.dictionary.to_pylist()
    wanted = names.index(DROPPABLE_TASK) if DROPPABLE_TASK in names else -1
    chosen: list[tuple[SampleRequest, np.ndarray]] = []
    captions: set[str] = set()
    for number in _spread(numbers[tasks.indices.to_numpy()[numbers] == wanted], count):
        sequence = data.shards.read(number)
        if len(sequence.images) != 1 or not sequence.caption or sequence.caption in captions:
            continue
        request = _request(len(chosen), sequence, options)
        try:
            Lane(request, text, max_tokens)
        except RecipeError:  # the usual words make it longer than its own do
            continue
        [image] = sequence.images
        captions.add(sequence.caption)
        ids = sequence.input_ids[image.start : image.start + image_length(image.height, image.width)]
        chosen.append((request, ids_to_image(ids, text.vocab)))
        if len(chosen) == count:
            break
    return chosen


def _spread(numbers: np.ndarray, count: int) -> Iterator[int]:
    """Each once, in strides: the first `count` lie all over."""
    stride = max(1, len(numbers) // count)
    for start in range(stride):
        yield from numbers[start::stride].tolist()


def _request(number: int, sequence: TokenSequence, options: SampleOptions) -> SampleRequest:
    [image] = sequence.images
    size = (image.width, image.height)
    return SampleRequest(
        number=number,
        turns=(Turn("user", (text_to_image_prompt(sequence.caption, size),)),),
        size=size,
        guidance=options.guidance,
        temperature=options.temperature,
        image_top_k=options.image_top_k,
        caption=sequence.caption,
    )
