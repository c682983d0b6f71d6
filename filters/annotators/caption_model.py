"""An image-to-text model of the transformers library, behind one call: pictures in, answers out.

Words are drawn by inverting each row's own cumulative distribution at a point that (seed, key, number of the caption, step) gives, never
from a generator that a batch shares: what else is asked does not move them.

Shapes: B rows, V words in the vocabulary, L tokens.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from filters.annotators.answers import Answer, Failure
from filters.annotators.checkpoint import Checkpoint, commit_of
from pipeline.dice import dice
from pipeline.errors import RecipeError

if TYPE_CHECKING:
    import torch

TRIAL_SIDE = 64  # pixels of the plain picture on which a prompt is tried


@dataclass(frozen=True, slots=True)
class Sampling:
    """How words are chosen."""

    max_new_tokens: int
    temperature: float  # 0 takes the likeliest
    top_p: float
    num_beams: int
    seed: int


@dataclass(frozen=True, slots=True)
class CaptionRequest:
    """What the model is asked at once: B captions."""

    pictures: Sequence[np.ndarray]  # B of uint8 [H, W, 3]
    keys: Sequence[str]  # of their samples
    numbers: Sequence[int]  # which caption of its sample each one is
    prompt: str
    sampling: Sampling


@dataclass(frozen=True)
class CaptionModelSpec:
    """Weights by name or folder."""

    model: str
    revision: str
    precision: str  # auto, float32, bfloat16 or float16
    device: str  # auto, cpu, cuda, cuda:1

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint("caption", self.model, self.revision, self.precision, self.device)

    def check(self) -> None:
        """
        Raises:
            RecipeError: There is no such model, or it is none that the library loads as one that turns pictures into text.
        """
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN

        self.checkpoint.check(KNOWN, "does not turn a picture and text into text")

    def fingerprint(self) -> str:
        return self.checkpoint.fingerprint()

    def load(self) -> "CaptionModel":
        """
        Raises:
            RecipeError: The weights cannot be had, or some are missing.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model, processor = self.checkpoint.load(AutoModelForImageTextToText, AutoProcessor)
        processor.tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"  # words go on at the right end
        return CaptionModel(model, processor)


@dataclass
class CaptionModel:
    """The loaded model."""

    model: Any
    processor: Any
    _tried: set[str] = field(default_factory=set, init=False)  # prompts

    def __call__(self, request: CaptionRequest) -> list[Answer | Failure]:
        """An answer for each picture.

        Raises:
            RecipeError: The model cannot be asked in this way at all.
        """
        self._try(request.prompt)
        images = [Image.fromarray(picture) for picture in request.pictures]
        answers: list[Answer | Failure | None] = [None] * len(images)
        try:
            inputs = self.inputs(images, request.prompt)
            rows = list(range(len(images)))
        except ValueError:  # one of them is none for this model (too long and narrow, for example): find out which
            answers = [self._refusal(image, request.prompt) for image in images]
            rows = [row for row, answer in enumerate(answers) if answer is None]
            if not rows:
                return [answer for answer in answers if answer]
            inputs = self.inputs([images[row] for row in rows], request.prompt)
        for row, answer in zip(rows, self._generate(inputs, request, rows), strict=True):
            answers[row] = answer
        return [answer for answer in answers if answer]

    def inputs(self, images: list[Image.Image], prompt: str) -> Any:
        """What `generate` takes for pictures that are all asked the same.

        Raises:
            ValueError: The processor refuses a picture, or the prompt.
        """
        if self.processor.chat_template:
            chats = [
                [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": prompt}]}] for image in images
            ]
            inputs = self.processor.apply_chat_template(
                chats,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs={"padding": True},
            )
        elif prompt:
            inputs = self.processor(images=images, text=[prompt] * len(images), padding=True, return_tensors="pt")
        else:
            inputs = self.processor(images=images, return_tensors="pt")
        return inputs.to(self.model.device, self.model.dtype)

    def _try(self, prompt: str) -> None:
        if prompt in self._tried:
            return
        try:
            inputs = self.inputs([Image.new("RGB", (TRIAL_SIDE, TRIAL_SIDE), "gray")], prompt)
        except ValueError as error:
            raise RecipeError(f"annotator caption: prompt {prompt!r} does not suit the model: {error}") from error
        token = getattr(self.model.config, "image_token_id", None)
        if token is not None and "input_ids" in inputs and not (inputs["input_ids"] == token).any():
            name = getattr(self.processor, "image_token", "image token")
            raise RecipeError(f"annotator caption: the model has no chat template, so its prompt must hold {name}; got {prompt!r}")
        self._tried.add(prompt)

    def _refusal(self, image: Image.Image, prompt: str) -> Failure | None:
        try:
            self.inputs([image], prompt)
        except ValueError as error:
            return Failure("caption_picture_unusable", f"{image.width} x {image.height}: {error}")
        return None

    def _generate(self, inputs: Any, request: CaptionRequest, rows: list[int]) -> list[Answer]:
        sampling = request.sampling
        start = _Start()
        processors: list[Any] = [start]
        if sampling.temperature > 0:
            rngs = [dice(sampling.seed, request.keys[row], f"caption {request.numbers[row]}") for row in rows]
            processors.append(_Draws(rngs, sampling.temperature, sampling.top_p))
        ids_BL = self.model.generate(
            **inputs,
            max_new_tokens=sampling.max_new_tokens,
            num_beams=sampling.num_beams,
            do_sample=False,
            logits_processor=processors,
        )
        return [self._answer(ids_BL[row, start.length :].tolist()) for row in range(len(rows))]

    def _answer(self, ids: list[int]) -> Answer:
        end = next((place for place, token in enumerate(ids) if token in self._end_ids), None)
        said = ids if end is None else ids[:end]
        text = self.processor.tokenizer.decode(said, skip_special_tokens=True)
        return Answer(text, "length" if end is None else "stop", len(said), commit_of(self.model))

    @property
    def _end_ids(self) -> set[int]:
        config = self.model.config
        if config.model_type == "blip":  # its `generate` ends captions with [SEP], whatever the generation config says
            return {config.text_config.sep_token_id}
        ids = self.model.generation_config.eos_token_id
        return set(ids if isinstance(ids, list) else [] if ids is None else [ids])


class _Start:
    """Notes how long the sequences were before anything was said: some models return the prompt with the answer, others do not."""

    def __init__(self) -> None:
        self.length = -1

    def __call__(self, input_ids_BL: "torch.Tensor", scores_BV: "torch.Tensor") -> "torch.Tensor":
        if self.length < 0:
            self.length = input_ids_BL.shape[1]
        return scores_BV


class _Draws:
    """Leaves one word in each row, drawn with the row's own dice."""

    def __init__(self, rngs: list[random.Random], temperature: float, top_p: float):
        self._rngs = rngs
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids_BL: "torch.Tensor", scores_BV: "torch.Tensor") -> "torch.Tensor":
        import torch

        chances_BV, order_BV = torch.softmax(scores_BV.double() / self._temperature, dim=-1).sort(dim=-1, descending=True, stable=True)
        before_BV = chances_BV.cumsum(-1) - chances_BV
        sums_BV = torch.where(before_BV < self._top_p, chances_BV, 0.0).cumsum(-1)
        points_B = torch.tensor([rng.random() for rng in self._rngs], dtype=torch.float64, device=scores_BV.device)
        places_B1 = (sums_BV <= points_B[:, None] * sums_BV[:, -1:]).sum(-1, keepdim=True).clamp(max=scores_BV.shape[1] - 1)
        return torch.full_like(scores_BV, -torch.inf).scatter(-1, order_BV.gather(-1, places_B1), 0.0)
