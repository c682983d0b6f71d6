"""A tiny model folder, recipes that sample from it, and engines that die, for the tests of `mgpt sample` and `mgpt serve`."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.lm.folder import save_folder
from jobs.sampling.engine import Answer, Job
from pipeline.samples import TokenSequence
from tests.jobs.lm.tiny import tiny_model
from tests.jobs.recipes import GOLDEN_TOKENS
from tests.token_output import TEXT_TOKENIZER_PATH

SETTINGS = 'size = "64x32"\nguidance = 2.0\nimage_top_k = 100\nbatch_size = 3\nmax_text_tokens = 6\n'


def write_model(folder: Path) -> Path:
    """A model folder whose model draws at random, but not evenly."""
    folder.mkdir(parents=True)
    save_folder(folder, tiny_model(), {}, Path(TEXT_TOKENIZER_PATH).read_bytes())
    return folder


def write_sample_recipe(folder: Path, model: Path, sample: str = "") -> tuple[Path, Path]:
    """A recipe file, and the folder of its samples."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    tokens = f"[tokens]\ntarget_size = 64\n{GOLDEN_TOKENS}"
    recipe.write_text(f'seed = 3\noutput = "{folder}/out"\n{tokens}\n[sample]\ncheckpoint = "{model}"\n{SETTINGS}{sample}\n')
    return recipe, folder / "out" / "samples"


def write_pictures(folder: Path) -> None:
    """a.png, 120 x 40, and b.png, 40 x 40."""
    rng = np.random.default_rng(0)
    for name, size in {"a.png": (40, 120, 3), "b.png": (40, 40, 3)}.items():
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(folder / name)


def write_dialogues(path: Path) -> None:
    """An edit, a question in text, and a dialogue with two pictures; the pictures lie beside it."""
    items = [
        {"id": "edit", "conversations": [{"from": "human", "value": "Add a hat. <|image|>"}], "image": "a.png", "image_guidance": 1.5},
        {
            "id": "ask",
            "conversations": [{"from": "human", "value": "What is this? <|image|>"}],
            "image": "b.png",
            "answer": "text",
            "num": 2,
        },
        {
            "conversations": [
                {"from": "human", "value": "<|image|> What is this?"},
                {"from": "gpt", "value": "A box."},
                {"from": "human", "value": "And this? <|image|>"},
            ],
            "image": ["a.png", "b.png"],
            "answer": "free",
            "size": "32x32",
            "task": "vqa",
        },
    ]
    path.write_text(json.dumps(items))


@dataclass(frozen=True)
class DyingSpec:
    """Answers without a model. Its process dies at the answer with `number`, as long as it has died fewer than `times` times."""

    folder: str  # where deaths are marked
    number: int
    times: int

    def load(self) -> "DyingSpec":
        return self

    def answer(self, jobs: Sequence[Job]) -> Iterator[Answer]:
        for job in jobs:
            number, deaths = job.asked.number, len(list(Path(self.folder).glob("death_*")))
            if number == self.number and deaths < self.times:
                (Path(self.folder) / f"death_{deaths}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            sequence = TokenSequence(job.asked.line["key"], "text_only", np.zeros(1, np.uint16), ())
            yield Answer(number, (), (job.asked.line["prompt"],), sequence, "stop", 0, 0)
