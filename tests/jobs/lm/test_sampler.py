"""Sampling against a plain reference: whole forwards without a cache, the rules of the token format, the same noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jobs.lm.model import LanguageModel
from jobs.lm.noise import gumbel
from jobs.lm.options import SampleOptions
from jobs.lm.sampler import Sampler, draw
from pipeline.errors import RecipeError
from pipeline.samples import ImageRef, Turn
from tests.jobs.lm.tiny import NAMES, TEXT, tiny_model
from tokenizer.grammar import check_sequence
from tokenizer.layout import ids_to_image, image_length

VOCAB = TEXT.vocab
OPTIONS = SampleOptions(size="96x64", guidance=3.0, image_top_k=50, temperature=0.9)
PROMPTS = ["a red circle", "two blue squares on a green ground, and a much longer prompt", "x"]


def sampler(model: LanguageModel, options: SampleOptions = OPTIONS, seed: int = 5, num_codes: int = 8192) -> Sampler:
    return Sampler(model, TEXT, NAMES, num_codes, options, seed)


def reference_image(model: LanguageModel, prompt: str, number: int, options: SampleOptions, seed: int) -> list[int]:
    """Token by token from the rules: forced tokens, guidance on whole logits, image ids alone, top-k, noise, argmax."""
    width, height = options.width_height
    words = f"Generate an image of {width}x{height} according to the following prompt:\n{prompt}"
    context = [0, *TEXT.encode(words), 8710]
    image = [8197, 8804 + height // 32, 8804 + width // 32]
    is_code = torch.from_numpy(VOCAB.id_to_code >= 0)
    for _ in range(height // 16):
        for _ in range(width // 16):
            conditional, unconditional = last_logits(model, context + image), last_logits(model, image)
            logits = options.guidance * (conditional - unconditional) + unconditional
            logits[~is_code] = -torch.inf
            logits[logits < logits.topk(options.image_top_k).values[-1]] = -torch.inf
            noise = torch.full_like(logits, -torch.inf)
            noise[list(VOCAB.codes)] = torch.from_numpy(gumbel(seed, number, len(image), len(VOCAB.codes)))
            image.append(int((logits / options.temperature + noise).argmax()))
        image.append(8803)
    return [*context, *image, 8196, 8710]


def last_logits(model: LanguageModel, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        hidden = model(torch.tensor([ids]), torch.arange(len(ids))[None])
        return model.lm_head(hidden[0, -1])


@pytest.mark.parametrize(
    "options", [OPTIONS, replace(OPTIONS, guidance=1.0, size="32x64"), replace(OPTIONS, image_top_k=9000, size="32x32")]
)
@pytest.mark.parametrize("swin_norm", [False, True])
def test_pictures_equal_the_plain_reference_token_by_token(options, swin_norm):
    model = tiny_model(swin_norm=swin_norm)
    numbers = [4, 0, 9]
    for sequence, prompt, number in zip(sampler(model, options).pictures(PROMPTS, numbers), PROMPTS, numbers, strict=True):
        assert sequence.input_ids.tolist() == reference_image(model, prompt, number, options, seed=5)


def test_a_batch_equals_single_runs():
    model = tiny_model()
    together = sampler(model).pictures([*PROMPTS, PROMPTS[0]], [0, 1, 2, 3])
    for number, prompt in enumerate([*PROMPTS, PROMPTS[0]]):
        [alone] = sampler(model).pictures([prompt], [number])
        assert alone.input_ids.tolist() == together[number].input_ids.tolist()
    assert together[0].input_ids.tolist() != together[3].input_ids.tolist(), "another number, another picture"


@pytest.mark.parametrize("size", ["32x32", "64x128", "160x32"])
def test_every_line_break_and_the_end_are_in_place(size):
    width, height = map(int, size.split("x"))
    for sequence in sampler(tiny_model(), replace(OPTIONS, size=size)).pictures(PROMPTS, [0, 1, 2]):
        [image] = sequence.images
        ids = sequence.input_ids
        assert check_sequence(ids, sequence.loss_spans, sequence.images, VOCAB) == []
        assert (image.height, image.width) == (height, width)
        assert ids_to_image(ids[image.start : image.start + image_length(height, width)], VOCAB).shape == (height // 16, width // 16)


def test_the_seed_decides_and_guidance_matters():
    model = tiny_model()
    first = sampler(model).pictures(PROMPTS[:1], [0])[0].input_ids.tolist()
    assert first == sampler(model).pictures(PROMPTS[:1], [0])[0].input_ids.tolist()
    assert first != sampler(model, seed=6).pictures(PROMPTS[:1], [0])[0].input_ids.tolist()
    assert first != sampler(model, replace(OPTIONS, guidance=1.0)).pictures(PROMPTS[:1], [0])[0].input_ids.tolist()


def test_only_codes_that_the_vq_has_are_drawn():
    options = replace(OPTIONS, image_top_k=8192, size="128x128")
    [sequence] = sampler(tiny_model(), options, num_codes=64).pictures(PROMPTS[:1], [0])
    [image] = sequence.images
    codes = ids_to_image(sequence.input_ids[image.start : -1], VOCAB)
    assert codes.max() < 64
    assert len(np.unique(codes)) > 10


def test_bfloat16_weights_sample_well_formed_pictures():
    [sequence] = sampler(tiny_model().bfloat16()).pictures(PROMPTS[:1], [0])
    assert check_sequence(sequence.input_ids, sequence.loss_spans, sequence.images, VOCAB) == []


def test_a_prompt_too_long_for_the_model_is_refused():
    with pytest.raises(RecipeError, match="the model was made for 40"):
        sampler(tiny_model(max_tokens=40)).pictures(PROMPTS[:1], [0])


def test_a_control_token_in_a_prompt_stays_text():
    [sequence] = sampler(tiny_model()).pictures(["<racm3:break> and <reserved08706>"], [0])
    assert (sequence.input_ids == VOCAB.start_of_image).sum() == 1
    assert (sequence.input_ids == VOCAB.end_of_turn).sum() == 2


def test_an_answer_equals_the_plain_reference_token_by_token():
    model = tiny_model()
    codes = {ImageRef("image"): np.arange(16).reshape(4, 4)}
    turns = [Turn("user", ("Describe the image in detail. ", ImageRef("image")))]
    options = SampleOptions(text_top_k=7, temperature=0.8, max_text_tokens=25)
    answer = sampler(model, options).answer(turns, codes, number=3)

    image = [8197, 8806, 8806, *(i for row in codes[ImageRef("image")] for i in [*(VOCAB.codes[c] for c in row), 8803]), 8196]
    context = [0, *TEXT.encode("Describe the image in detail. "), *image, 8710]
    drawn: list[int] = []
    while len(drawn) < 25:
        logits = last_logits(model, context + drawn)
        control = torch.ones(VOCAB.size, dtype=torch.bool)
        control[16388:] = False  # where text begins in Chameleon's layout
        control[8710] = False
        logits[control] = -torch.inf
        logits[logits < logits.topk(7).values[-1]] = -torch.inf
        token = int((logits / 0.8 + torch.from_numpy(gumbel(5, 3, len(drawn), VOCAB.size))).argmax())
        if token == 8710:
            break
        drawn.append(token)
    assert answer == TEXT.decode(drawn)
    assert len(drawn) > 3


def test_an_answer_ends_with_its_turn():
    model = tiny_model()
    turns = [Turn("user", ("What?",))]
    with torch.no_grad():
        hidden = model(torch.tensor([[0, *TEXT.encode("What?"), 8710]]), torch.arange(2 + len(TEXT.encode("What?")))[None])
        model.lm_head.weight[8710] = hidden[0, -1] * 10
    assert sampler(model, SampleOptions(text_top_k=1)).answer(turns, {}) == ""


def test_noise_is_a_function_of_seed_number_and_position():
    first = gumbel(1, 2, 3, 100)
    assert np.array_equal(first, gumbel(1, 2, 3, 100))
    assert np.array_equal(first[:10], gumbel(1, 2, 3, 10))
    for other in (gumbel(0, 2, 3, 100), gumbel(1, 0, 3, 100), gumbel(1, 2, 0, 100)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.4
    assert np.isfinite(first).all()


def test_noise_and_argmax_draw_from_the_softmax():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    noise = np.stack([gumbel(0, 0, position, 4) for position in range(20_000)])
    logits = torch.from_numpy(np.log(probabilities)).float().expand(20_000, 4)
    drawn = draw(logits, torch.from_numpy(noise), 4, 1.0)
    assert np.allclose(np.bincount(drawn.numpy()) / 20_000, probabilities, atol=0.012)
    best_two = draw(logits, torch.from_numpy(noise), 2, 1.0)
    assert np.allclose(np.bincount(best_two.numpy()) / 20_000, [0.625, 0.375], atol=0.012)
