"""Whether a model draws what it was asked for, in a world where that can be seen: one thing a picture, drawn by the source `shapes`.

    prompt     "a huge red circle in the middle, on a white ground"     what was asked
    picture    0000.png through jobs/drawn_detector.py                  what is seen
    sequence   tokens/ through tokenizer/grammar.py                     the size, every line break, the image's end

What was found is written to OUTPUT/samples/drawn_world.json.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from jobs.drawn_detector import Seen, detect
from jobs.sampling.store import SAMPLES_FOLDER
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.shards.reader import TokenShards
from pipeline.shards.schema import MANIFEST, TOKENS_FOLDER
from pipeline.sources.scene import COLORS, PLACES, RADII
from pipeline.sources.scene_shapes import SHAPES
from tokenizer.grammar import check_sequence
from tokenizer.vocab import load_vocab

RESULT = "drawn_world.json"
CAPTION = re.compile(
    rf"an? (?:(?P<size>{'|'.join(filter(None, RADII))}) )?(?P<color>{'|'.join(COLORS)}) (?P<shape>{'|'.join(SHAPES)})"
    rf"(?: (?P<place>{'|'.join(PLACES)}),)? on an? (?P<ground>{'|'.join(COLORS)}) ground"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt asks for."""

    ground: str
    color: str
    shape: str
    size: str  # "" where the prompt has no word for it, which is the medium size
    place: str  # "" where it goes unsaid

    @property
    def kind(self) -> str:
        """As in the source's `hold_out`."""
        return f"{self.color} {self.shape}"


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture."""

    line: Mapping[str, Any]  # the sampler's
    asked: Asked
    seen: Seen | None  # None: the file is not there, or is no picture
    was_trained: bool  # the combination may occur among the training pictures
    has_sequence: bool  # its tokens are there
    problems: tuple[str, ...]  # with the size, the line breaks and whatever else the grammar wants, in words

    @property
    def is_right(self) -> bool:
        """Shape and colour."""
        return self.seen is not None and (self.seen.color, self.seen.shape) == (self.asked.color, self.asked.shape)

    def is_as_asked(self, name: str) -> bool:
        """One property; what was not asked for is right."""
        asked = getattr(self.asked, name)
        return self.seen is not None and ((name == "place" and not asked) or getattr(self.seen, name) == asked)


def read_caption(caption: str) -> Asked | None:
    """What a caption of the source says; None where it is about more than one thing, or by someone else."""
    match = CAPTION.fullmatch(caption)
    return Asked(**{name: value or "" for name, value in match.groupdict().items()}) if match else None


def is_drawn_world(recipe: Mapping[str, Any]) -> bool:
    """Whether a resolved recipe's pictures all show one drawn thing on a plain ground."""
    sources = recipe.get("source", ())
    plain = {"max_things": 1, "gradient_share": 0, "texture_share": 0, "people_share": 0}
    return bool(sources) and all(
        source.get("kind") == "shapes" and all(source.get(name) == value for name, value in plain.items()) for source in sources
    )


def judge(output: str, recipe: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """Look at every sampled picture whose prompt the source could have written.

    Args:
        recipe: Resolved.
        samples: The sampler's lines.
    """
    if not is_drawn_world(recipe):
        return []
    held_out = set.intersection(*(set(source.get("hold_out", ())) for source in recipe["source"]))
    folder = paths.join(output, SAMPLES_FOLDER)
    shards = TokenShards(folder) if paths.exists(paths.join(folder, TOKENS_FOLDER, MANIFEST)) else None
    judged = []
    for line in samples:
        asked = read_caption(str(line.get("prompt", "")))
        if asked is None:
            continue
        try:
            pixels = _open(paths.read_bytes(paths.join(folder, str(line.get("file", "")))))
        except (RecipeError, UnidentifiedImageError) as error:
            judged.append(Judged(line, asked, None, asked.kind not in held_out, shards is not None, (str(error),)))
            continue
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        problems = [] if line.get("size") == size else [f"{line.get('size')} was asked, it is {size}"]
        problems += _check_tokens(shards, line) if shards is not None else []
        judged.append(Judged(line, asked, detect(pixels), asked.kind not in held_out, shards is not None, tuple(problems)))
    return judged


def describe(judged: Sequence[Judged]) -> dict[str, Any]:
    """What `drawn_world.json` says."""
    num = max(len(judged), 1)
    return {
        "pictures": len(judged),
        "combinations_held_out": sum(not one.was_trained for one in judged),
        "share_right": sum(one.is_right for one in judged) / num,
        "right_by_property": {name: sum(one.is_as_asked(name) for one in judged) / num for name in Asked.__dataclass_fields__},
        "sequences_checked": sum(one.has_sequence for one in judged),
        "size_and_line_breaks_right": sum(not one.problems for one in judged) / num,
        "wrong": [
            {
                "file": one.line.get("file"),
                "prompt": one.line.get("prompt"),
                "seen": one.seen and asdict(one.seen),
                "problems": one.problems,
            }
            for one in judged
            if not one.is_right or one.problems
        ],
    }


def write_result(output: str, judged: Sequence[Judged]) -> None:
    """Write `drawn_world.json`."""
    path = paths.join(output, SAMPLES_FOLDER, RESULT)
    paths.commit_bytes(path, (json.dumps(describe(judged), indent=1) + "\n").encode())


def _open(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def _check_tokens(shards: TokenShards, line: Mapping[str, Any]) -> list[str]:
    """What is wrong with a sample's sequence: the grammar, or another size than the one asked."""
    numbers = shards.find(str(line.get("key", "")))
    if not numbers:
        return ["its sequence is not in the token shards"]
    sequence = shards.read(numbers[0])
    problems = check_sequence(sequence.input_ids, sequence.loss_spans, sequence.images, load_vocab(shards.text_tokenizer))
    sizes = [f"{image.width}x{image.height}" for image in sequence.images]
    if sizes != [line.get("size")]:
        problems.append(f"one image of {line.get('size')} was asked, the sequence has {', '.join(sizes) or 'none'}")
    return problems
