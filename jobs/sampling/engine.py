"""A model, its vocabulary and the VQ, loaded: requests go in, pictures as PNG and texts come out, each as soon as it is finished."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.lm.options import SampleOptions
from jobs.recipe import Recipe
from jobs.sampling.plan import Asked
from pipeline.errors import RecipeError
from pipeline.paths import read_bytes
from pipeline.samples import ImageRef, TokenSequence
from pipeline.shards.schema import TEXT_TOKENIZER
from tokenizer.layout import PIXELS_PER_CODE
from tokenizer.text import TextTokenizer
from tokenizer.vq import VQ

if TYPE_CHECKING:
    from jobs.lm.requests import OnRow, SampleRequest

MAX_POSITIONS = 4096  # of a folder that does not say it: transformers' default for Chameleon


@dataclass(frozen=True, slots=True)
class Job:
    """An answer that is asked for, with its pictures at hand."""

    asked: Asked
    pixels: Mapping[str, np.ndarray]  # by role, uint8 [H, W, 3]


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished one."""

    number: int
    pngs: tuple[bytes, ...]
    parts: tuple[str | None, ...]  # in order: text, and None where a picture stands
    sequence: TokenSequence
    finish: str  # "stop", or "length" where it was cut off
    num_codes: int
    num_code_steps: int  # passes through the model that they took


class Answering(Protocol):
    """Something that answers."""

    def answer(self, jobs: Sequence[Job]) -> Iterator[Answer]: ...


class AnsweringSpec(Protocol):
    """Something that can be loaded where it is needed; cheap to pickle."""

    def load(self) -> Answering: ...


@dataclass(frozen=True)
class EngineSpec:
    """Where model, vocabulary and VQ lie."""

    checkpoint: str  # a model folder; its own vocabulary goes before the recipe's
    recipe_text: str  # path of the recipe's text_tokenizer.json
    vq: VQ
    options: SampleOptions
    seed: int

    @property
    def text_path(self) -> str:
        own = Path(self.checkpoint) / TEXT_TOKENIZER
        return str(own) if own.is_file() else self.recipe_text

    def max_tokens(self) -> int:
        """The longest sequence that the model was made for."""
        path = f"{self.checkpoint}/config.json"
        try:
            return int(json.loads(read_bytes(path)).get("max_position_embeddings", MAX_POSITIONS))
        except ValueError as error:
            raise RecipeError(f"{path}: no valid JSON: {error}") from error

    def load(self) -> "Engine":
        """Read the weights.

        Raises:
            RecipeError: They are incomplete, or of another vocabulary.
        """
        return Engine(self)


def engine_spec(recipe: Recipe, checkpoint: Path) -> EngineSpec:
    """
    Raises:
        RecipeError: The VQ's codes are not of the layout's size.
    """
    if recipe.vq.downsample != PIXELS_PER_CODE:
        raise RecipeError(f"tokens.vq: a code stands for {recipe.vq.downsample} pixels a side, in the token layout for {PIXELS_PER_CODE}")
    options = recipe.sample
    seed = recipe.seed if options.seed is None else options.seed
    return EngineSpec(str(checkpoint), recipe.tokens.text_path, recipe.vq, options, seed)


class Engine:
    """Everything in memory."""

    def __init__(self, spec: EngineSpec):
        import torch

        from jobs.lm.folder import load_folder, read_names
        from jobs.lm.model import choose_device
        from jobs.lm.sampling.compiled import StepCompiler
        from jobs.lm.sampling.sampler import Sampler

        options = spec.options
        self.text = TextTokenizer(spec.text_path)
        names = read_names(spec.text_path)
        loaded = load_folder(spec.checkpoint, self.text.vocab, names, getattr(torch, options.dtype))
        model = loaded.model.eval().to(choose_device(options.device))
        num_codes = min(spec.vq.num_codes, len(self.text.vocab.codes))
        self._vq_spec = spec.vq
        self._sampler = Sampler(
            model,
            self.text,
            names,
            num_codes,
            seed=spec.seed,
            batch_size=options.batch_size,
            jacobi_window=options.jacobi_window,
            compiler=StepCompiler() if options.compile else None,
        )

    @cached_property
    def vq(self) -> Any:
        """Loaded when the first picture comes."""
        return self._vq_spec.load()

    def answer(self, jobs: Sequence[Job], on_row: "OnRow | None" = None) -> Iterator[Answer]:
        """Answers as they finish; one depends on its own request alone.

        Args:
            on_row: As in `Sampler.sample`.
        """
        from jobs.lm.requests import read_answer

        by_number = {job.asked.number: job.asked for job in jobs}
        for result in self._sampler.sample([self._request(job) for job in jobs], on_row):
            asked, parts, pngs = by_number[result.number], [], []
            for part in read_answer(result, self.text):
                if isinstance(part, str):
                    parts.append(part)
                    continue
                [pixels] = self.vq.decode(part[None])  # one by one: in a batch a pixel may round another way
                parts.append(None)
                pngs.append(to_png(pixels, {"file": picture_name(result.number, len(pngs))} | asked.line))
            metadata = dict(asked.line.get("metadata", {})) | {
                name: asked.line[name] for name in ("seed", "draw", "guidance", "temperature")
            }
            sequence = replace(result.sequence, metadata=metadata)
            yield Answer(result.number, tuple(pngs), tuple(parts), sequence, result.finish, result.num_codes, result.num_code_steps)

    def _request(self, job: Job) -> "SampleRequest":
        from jobs.lm.requests import SampleRequest

        asked, line = job.asked, job.asked.line
        return SampleRequest(
            number=asked.number,
            turns=asked.turns,
            codes={ImageRef(role): self.vq.encode(pixels_HWC[None])[0] for role, pixels_HWC in job.pixels.items()},
            kind=line["answer"],
            size=asked.size,
            num_images=line["num_images"],
            guidance=line["guidance"],
            image_guidance=line["image_guidance"],
            temperature=line["temperature"],
            image_top_k=line["image_top_k"],
            text_top_k=line["text_top_k"],
            max_text_tokens=line["max_text_tokens"],
            key=line["key"],
            task=line["task"],
            caption="" if "turns" in line else line["prompt"],
            noise=asked.noise,
        )


def picture_name(number: int, place: int) -> str:
    """The file of an answer's picture: 0000.png, and further ones 0000-1.png ..."""
    return f"{number:04d}-{place}.png" if place else f"{number:04d}.png"


def to_png(pixels_HWC: np.ndarray, texts: Mapping[str, Any]) -> bytes:
    """A picture with its settings in text chunks, as viewers and `exiftool` show them; lists as JSON."""
    chunks = PngInfo()
    for name, value in texts.items():
        if value is not None:
            chunks.add_itxt(name, json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value))
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()
