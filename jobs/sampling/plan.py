"""From prompts to requests: settings resolved, pictures measured, all refused that cannot be done, before a model is loaded.

Each answer has a number, and its noise is drawn by (seed, number). An item that brings a seed of its own counts its answers from 0, so that
they do not depend on what else is in the file.

Where the size of an answer's pictures comes from: the item, else the last picture of the dialogue as the recipe's buckets cut it, else
`sample.size`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.lm.options import AUTO_SIZE, parse_size
from jobs.recipe import Recipe
from jobs.sampling.prompts import Prompt
from pipeline.buckets import fit_bucket
from pipeline.errors import RecipeError
from pipeline.images import Crop, PictureError, apply_crop, decode_rgb, plan_crop, read_header
from pipeline.samples import IMAGE_MARK, Conversation, ImageRef, Turn
from pipeline.sources.bad_record import BadRecord, read_picture
from tokenizer.layout import PIXELS_PER_GRID, image_length
from tokenizer.options import TokenOptions
from tokenizer.sequence import outline
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.text import TextTokenizer

KINDS = ("image", "text", "free")
PIECES = 16  # of a file of weights that are read to tell it from another
PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer that is to be made."""

    line: dict[str, Any]  # its settings, as samples.jsonl has them
    turns: tuple[Turn, ...]
    pictures: Mapping[str, tuple[str, str]]  # by role: folder, path
    crops: Mapping[str, Crop]  # by role
    size: tuple[int, int] | None  # width, height in pixels of the answer's pictures; None: the model chooses
    noise: tuple[int, int]  # seed, number

    @property
    def number(self) -> int:
        number: int = self.line["number"]
        return number


def plan_requests(recipe: Recipe, prompts: Sequence[Prompt], checkpoint: Path) -> list[Asked]:
    """Every answer, in order.

    Raises:
        RecipeError: A setting out of range, a picture that cannot be read, a name that two items share.
    """
    about = {"dtype": recipe.sample.dtype, "checkpoint": str(checkpoint), "weights": weights_digest(checkpoint)}
    asked: list[Asked] = []
    seen: dict[str, Prompt] = {}
    for prompt in prompts:
        for repeat in range(_setting(prompt, "num", recipe.sample.num_per_prompt, least=1)):
            one = _plan_one(recipe, prompt, number=len(asked), repeat=repeat, about=about)
            if (earlier := seen.setdefault(one.line["key"], prompt)) is not prompt:
                raise RecipeError(f"{prompt.where}: its answers would be named {one.line['key']!r}, as those of {earlier.where}")
            asked.append(one)
    return asked


def check_lengths(asked: Sequence[Asked], text: TextTokenizer, limit: int) -> None:
    """
    Args:
        limit: Tokens that the model was made for.

    Raises:
        RecipeError: A dialogue and its answer are longer.
    """
    for one in asked:
        sizes = {ImageRef(role): (crop.width, crop.height) for role, crop in one.crops.items()}
        length = outline(Conversation("", "", one.turns), sizes, text).length + 1
        if one.line["answer"] != "image":
            length += 1  # of text
        elif one.size:
            length += one.line["num_images"] * image_length(one.size[1], one.size[0])
        else:
            length += image_length(PIXELS_PER_GRID, PIXELS_PER_GRID)
        if length > limit:
            raise RecipeError(f"{one.line['prompt'][:60]!r}: dialogue and answer take {length} tokens, the model was made for {limit}")


def read_pixels(one: Asked) -> dict[str, np.ndarray]:
    """uint8 [H, W, 3] of each of a dialogue's pictures, by role, cut as planned."""
    pixels = {}
    for role, (root, name) in one.pictures.items():
        try:
            pixels[role] = np.asarray(apply_crop(decode_rgb(read_picture(root, name)), one.crops[role]))
        except (BadRecord, PictureError) as error:
            raise RecipeError(f"{name}: {error.message}") from error
    return pixels


def fingerprint(asked: Sequence[Asked], identity: Mapping[str, Any]) -> str:
    """What all files of a run depend on, as one digest."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for one in asked:
        digest.update(json.dumps(one.line, ensure_ascii=False).encode())
    return digest.hexdigest()


def weights_digest(folder: Path) -> str:
    """A model folder's weights, told from others by their sizes and a few places: reading all of them would take minutes.

    Raises:
        RecipeError: It is no model folder.
    """
    if not (folder / "config.json").is_file():
        raise RecipeError(f"{folder}: no model folder (no config.json)")
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for piece in range(PIECES):
                file.seek(max(size - PIECE_BYTES, 0) * piece // (PIECES - 1))
                digest.update(file.read(PIECE_BYTES))
    return digest.hexdigest()[:16]


def plan_picture(data: bytes, tokens: TokenOptions) -> Crop:
    """How a picture is cut before it is encoded: as those of the data are, in the middle.

    Raises:
        PictureError: It is none.
    """
    header = read_header(data)
    size = header.width, header.height
    return plan_crop(size, fit_bucket(*size, tokens.target_size, tokens.smaller_targets))


def _plan_one(recipe: Recipe, prompt: Prompt, *, number: int, repeat: int, about: Mapping[str, Any]) -> Asked:
    options = recipe.sample
    digests, crops = _measure(prompt, recipe.tokens)
    answer = prompt.settings.get("answer", options.answer)
    if answer not in KINDS:
        raise RecipeError(f"{prompt.where}: answer: one of {', '.join(KINDS)} is wanted, got {answer!r}")
    size = _size(prompt, options.width_height, crops)
    image_guidance = _number(prompt, "image_guidance", options.image_guidance if crops else None)
    if image_guidance is not None and not crops:
        raise RecipeError(f"{prompt.where}: image_guidance is for dialogues that show a picture")
    own_seed = prompt.settings.get("seed")
    seed = next(value for value in (own_seed, options.seed, recipe.seed) if value is not None)
    if seed < 0:
        raise RecipeError(f"{prompt.where}: seed: 0 or more is wanted, got {seed}")
    turns = prompt.turns or (Turn("user", (text_to_image_prompt(prompt.text, size) if answer == "image" else prompt.text,)),)
    line: dict[str, Any] = {
        "key": (f"{prompt.key}-{repeat}" if repeat else prompt.key) if prompt.key else f"{number:04d}",
        "task": prompt.task or ("conversation" if prompt.turns else "text_to_image" if answer == "image" else "text_only"),
        "prompt": prompt.text,
        "number": number,
        "answer": answer,
        "seed": seed,
        "draw": number if own_seed is None else repeat,
        "size": f"{size[0]}x{size[1]}" if size else AUTO_SIZE,
        "num_images": _setting(prompt, "num_images", options.num_images, least=1),
        "guidance": _number(prompt, "guidance", options.guidance),
        "image_guidance": image_guidance,
        "temperature": _number(prompt, "temperature", options.temperature, above_zero=True),
        "image_top_k": _setting(prompt, "image_top_k", options.image_top_k, least=1),
        "text_top_k": _setting(prompt, "text_top_k", options.text_top_k, least=1),
        "max_text_tokens": _setting(prompt, "max_text_tokens", options.max_text_tokens, least=1),
        **about,
    }
    if prompt.turns:
        line["turns"] = [[turn.role, spell(turn)] for turn in prompt.turns]
    if digests:
        line["pictures"] = [{"file": name, "sha256": digests[role]} for role, (_, name) in prompt.pictures.items()]
    if prompt.metadata:
        line["metadata"] = dict(prompt.metadata)
    return Asked(line, turns, prompt.pictures, crops, size, (seed, line["draw"]))


def spell(turn: Turn) -> str:
    """A turn as people write it, with a mark for each picture."""
    return "".join(IMAGE_MARK if isinstance(part, ImageRef) else part for part in turn.content)


def _measure(prompt: Prompt, tokens: TokenOptions) -> tuple[dict[str, str], dict[str, Crop]]:
    """sha256 and crop of each picture, by role."""
    digests, crops = {}, {}
    for role, (root, name) in prompt.pictures.items():
        try:
            data = read_picture(root, name)
            digests[role], crops[role] = hashlib.sha256(data).hexdigest(), plan_picture(data, tokens)
        except (BadRecord, PictureError) as error:
            raise RecipeError(f"{prompt.where}: {name}: {error.message}") from error
    return digests, crops


def _size(prompt: Prompt, default: tuple[int, int] | None, crops: Mapping[str, Crop]) -> tuple[int, int] | None:
    own = prompt.settings.get("size")
    if own == AUTO_SIZE:
        return None
    if own is not None:
        try:
            return parse_size(own)
        except RecipeError as error:
            raise RecipeError(f"{prompt.where}: {error}") from error
    last = list(crops.values())[-1] if crops else None
    return (last.width, last.height) if last else default


def _setting(prompt: Prompt, name: str, default: int, *, least: int) -> int:
    value: int = prompt.settings.get(name, default)
    if value < least:
        raise RecipeError(f"{prompt.where}: {name}: {least} or more is wanted, got {value}")
    return value


def _number(prompt: Prompt, name: str, default: float | None, *, above_zero: bool = False) -> Any:
    value = prompt.settings.get(name, default)
    if value is not None and (value < 0 or (above_zero and value == 0)):
        raise RecipeError(f"{prompt.where}: {name}: {'above 0' if above_zero else '0 or more'} is wanted, got {value}")
    return None if value is None else float(value)


def identity(recipe: Recipe, vocabulary: str) -> dict[str, Any]:
    """What the samples depend on beside their lines.

    Args:
        vocabulary: Its fingerprint.
    """
    tokens = asdict(recipe.tokens)
    return {
        "vocabulary": vocabulary,
        "vq": recipe.vq.fingerprint(),
        "crops": [tokens["target_size"], list(tokens["smaller_targets"])],
        "write_tokens": recipe.sample.write_tokens,
    }
