"""A tiny model, and a few sequences with random codes, for the tests of trainer and sampler."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from jobs.lm.folder import read_names
from jobs.lm.model import LanguageModel, new_model
from jobs.lm.options import TrainOptions
from pipeline.samples import Conversation, ImageRef, TokenSequence, Turn
from tests.token_output import TEXT_TOKENIZER_PATH, make_sequence, text_sequence, text_to_image_sequence, write_output
from tokenizer.text import TextTokenizer

TEXT = TextTokenizer(TEXT_TOKENIZER_PATH)
NAMES = read_names(TEXT_TOKENIZER_PATH)
OPTIONS = TrainOptions(
    hidden_size=32, num_layers=2, num_heads=2, steps=6, batch_size=2, warmup=2, log_every=1, checkpoint_every=3, threads=1
)


def tiny_model(seed: int = 0, max_tokens: int = 512, *, swin_norm: bool = False) -> LanguageModel:
    """Its logits are spread as a trained model's are: small weights would make all of them alike."""
    model = new_model(replace(OPTIONS, swin_norm=swin_norm), TEXT.vocab, NAMES, max_tokens=max_tokens, seed=seed)
    for parameter in model.parameters():
        if parameter.ndim == 2 and parameter.shape[0] != parameter.shape[1]:
            parameter.data.mul_(10)
    return model.eval()


def mixed_sequences(count: int = 12) -> list[TokenSequence]:
    """Text to image in two sizes, text only, and a dialogue with two images, in turn."""
    rng = np.random.default_rng(0)
    sequences = []
    for number in range(count):
        key = f"sample-{number}"
        match number % 4:
            case 0:
                sequences.append(text_to_image_sequence(key, f"{number} red circles", TEXT, rng))
            case 1:
                sequences.append(text_sequence(key, "What is this?", f"A picture, number {number}, of something.", TEXT))
            case 2:
                sequences.append(text_to_image_sequence(key, "a blue square below a cone", TEXT, rng, height=32, width=96))
            case _:
                images = {ImageRef("image"): (64, 32), ImageRef("depth"): (32, 64)}
                turns = (Turn("user", ("Depth estimation. ", ImageRef("image"))), Turn("assistant", (ImageRef("depth"), f"done {number}")))
                sequences.append(make_sequence(Conversation(key, "depth", turns), images, TEXT, rng))
    return sequences


def text_to_image_sequences(count: int) -> list[TokenSequence]:
    rng = np.random.default_rng(1)
    return [text_to_image_sequence(f"picture-{number}", f"{number} red circles", TEXT, rng) for number in range(count)]


def write_mixed(folder: Path, count: int = 12) -> Path:
    """An OUTPUT with `mixed_sequences`."""
    write_output(folder, mixed_sequences(count))
    return folder
