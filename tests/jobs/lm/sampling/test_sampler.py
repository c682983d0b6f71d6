"""Sampling against the plain reference, against itself in other batches, and with a window."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jobs.lm.model import LanguageModel
from jobs.lm.requests import SampleRequest, SampleResult, read_answer
from jobs.lm.sampling.sampler import Sampler
from pipeline.errors import RecipeError
from pipeline.samples import ImageRef, Turn
from tests.jobs.lm.sampling.reference import last_logits, reference_answer, say
from tests.jobs.lm.tiny import NAMES, TEXT, tiny_model
from tokenizer.grammar import check_sequence
from tokenizer.layout import ids_to_image

VOCAB = TEXT.vocab
SHOWN = ImageRef("image")
CODES = {SHOWN: np.arange(24).reshape(4, 6)}
PICTURE = SampleRequest(4, say("a red circle"), size=(96, 64), guidance=3.0, image_top_k=50, temperature=0.9)
EDIT = SampleRequest(
    2, say("Make it blue. ", SHOWN), CODES, size=(64, 64), guidance=2.0, image_guidance=1.5, image_top_k=200, task="editing"
)
DIALOGUE = SampleRequest(
    7,
    (Turn("user", ("What is it? ", SHOWN)), Turn("assistant", ("A line.",)), Turn("user", ("Draw another",))),
    CODES,
    size=(32, 64),
    guidance=3.0,
    num_images=2,
)
FORMS = {
    "a picture": PICTURE,
    "without guidance": replace(PICTURE, guidance=1.0, size=(32, 64)),
    "all codes": replace(PICTURE, image_top_k=9000, size=(32, 32)),
    "an edit with two scales": EDIT,
    "two pictures of a dialogue": DIALOGUE,
    "two pictures with two scales": replace(EDIT, num_images=2, size=(32, 32)),
    "free size": replace(PICTURE, size=None, image_top_k=40),
    "text": SampleRequest(
        3, say("Describe the image in detail. ", SHOWN), CODES, kind="text", text_top_k=7, temperature=0.8, max_text_tokens=25
    ),
}


def sample(model: LanguageModel, *requests: SampleRequest, seed: int = 5, num_codes: int = 8192, batch_size: int = 8, window: int = 0):
    sampler = Sampler(model, TEXT, NAMES, num_codes, seed=seed, batch_size=batch_size, jacobi_window=window)
    results = {result.number: result for result in sampler.sample(requests)}
    return [results[request.number] for request in requests]


def ids(result: SampleResult) -> list[int]:
    return result.sequence.input_ids.tolist()


def fond_of_images(peak: float = 0.0) -> LanguageModel:
    """A model that often starts an image, and whose codes may be peaky."""
    model = tiny_model()
    with torch.no_grad():
        hidden = model(torch.arange(20000, 20064)[None], torch.arange(64)[None])[0]
        model.lm_head.weight[8197] += hidden.mean(0) * 3
        model.lm_head.weight[list(VOCAB.codes)] *= 1 + peak
    return model


@pytest.mark.parametrize("swin_norm", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_an_answer_equals_the_plain_reference_token_by_token(form, swin_norm):
    model = tiny_model(swin_norm=swin_norm, max_tokens=200)
    context, answer = reference_answer(model, FORMS[form], seed=5, limit=200)
    [result] = sample(model, FORMS[form])
    assert ids(result) == [*context, *answer, 8710]
    assert result.answer_start == len(context)
    assert check_sequence(result.sequence.input_ids, result.sequence.loss_spans, result.sequence.images, VOCAB) == []


def test_a_free_dialogue_of_text_and_images_equals_the_plain_reference_and_keeps_the_grammar():
    model = fond_of_images()
    images = []
    for number in range(4):
        request = SampleRequest(
            number, say("Tell a story ", SHOWN), CODES, kind="free", size=(32, 32), num_images=2, guidance=2.0, max_text_tokens=12
        )
        context, answer = reference_answer(model, request, seed=5)
        [result] = sample(model, request)
        assert ids(result) == [*context, *answer, 8710]
        assert check_sequence(result.sequence.input_ids, result.sequence.loss_spans, result.sequence.images, VOCAB) == []
        images.append(len(result.sequence.images) - 1)
        parts = read_answer(result, TEXT)
        assert sum(isinstance(part, np.ndarray) for part in parts) == images[-1]
        assert len(parts) > images[-1]
    assert max(images) == 2


def test_free_answers_with_sizes_of_their_own_keep_the_grammar_in_one_batch():
    model = fond_of_images()
    requests = [
        SampleRequest(number, say("Tell a story", "!" * number), kind="free", num_images=3, guidance=1.0 + number, max_text_tokens=20)
        for number in range(5)
    ]
    results = sample(model, *requests, batch_size=3)
    for result in results:
        assert check_sequence(result.sequence.input_ids, result.sequence.loss_spans, result.sequence.images, VOCAB) == []
        assert len(result.sequence.input_ids) <= 512
    assert len({(image.height, image.width) for result in results for image in result.sequence.images}) > 2


MIXED = [
    replace(PICTURE, number=number, turns=say(f"{number} circles " * (number + 1)), size=size, guidance=guidance)
    for number, (size, guidance) in enumerate(
        [((96, 64), 3.0), ((64, 64), 1.0), ((32, 128), 2.0), ((96, 96), 4.0), ((64, 32), 3.0), ((32, 32), 3.0), ((160, 64), 1.0)]
    )
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_of_seven_mixed_sizes_equals_seven_single_runs(dtype):
    model = tiny_model().to(dtype)
    together = sample(model, *MIXED)
    assert len({result.sequence.images[0].width for result in together}) > 3
    for request, result in zip(MIXED, together, strict=True):
        [alone] = sample(model, request)
        assert ids(alone) == ids(result)
    assert [ids(result) for result in sample(model, *MIXED, batch_size=2)] == [ids(result) for result in together], (
        "replaced as they finish"
    )


def test_all_forms_in_one_batch_equal_single_runs():
    model = fond_of_images()
    requests = [
        *(replace(request, number=number) for number, request in enumerate(FORMS.values())),
        SampleRequest(20, say("Tell"), kind="free", size=(64, 32), num_images=2, guidance=3.0, max_text_tokens=9),
    ]
    together = sample(model, *requests, batch_size=5)
    for request, result in zip(requests, together, strict=True):
        [alone] = sample(model, request)
        assert ids(alone) == ids(result)


@pytest.mark.parametrize("window", [2, 5, 16, 40])
def test_jacobi_decoding_equals_decoding_one_by_one_and_saves_steps(window):
    model = fond_of_images(peak=1.0)
    requests = [*MIXED, replace(EDIT, number=8, num_images=2), SampleRequest(20, say("Tell"), kind="free", num_images=2, max_text_tokens=9)]
    one_by_one = sample(model, *requests)
    jacobi = sample(model, *requests, window=window, batch_size=4)
    assert [ids(result) for result in jacobi] == [ids(result) for result in one_by_one]
    codes, saved = sum(result.num_codes for result in jacobi), sum(result.steps_saved for result in jacobi)
    print(f"window {window}: {saved} of {codes} steps saved")
    assert saved > codes / 10
    assert all(result.steps_saved == 0 for result in one_by_one)


def test_guidance_by_two_equal_scales_is_guidance_by_one():
    model = tiny_model()
    one = replace(EDIT, image_guidance=None, guidance=2.5)
    assert ids(*sample(model, one)) == ids(*sample(model, replace(one, image_guidance=2.5)))
    assert ids(*sample(model, one)) != ids(*sample(model, replace(one, image_guidance=1.0)))


def test_answers_without_guidance_take_no_rows_for_it(monkeypatch):
    from jobs.lm.sampling import decoder

    shapes = []
    forward = decoder.Decoder.forward

    def spy(self, ids_RT, *others):
        shapes.append(tuple(ids_RT.shape))
        return forward(self, ids_RT, *others)

    monkeypatch.setattr(decoder.Decoder, "forward", spy)
    unguided = replace(PICTURE, guidance=1.0, number=1)
    sample(tiny_model(), PICTURE, unguided)
    steps = shapes[3:]  # behind three contexts
    assert set(steps) == {(3, 1), (3, 2)}
    assert len(steps) == 24, "a line break takes no step of its own"
    shapes.clear()
    sample(tiny_model(), PICTURE, replace(unguided, size=(32, 32)))
    assert [rows for rows, _ in shapes[3:]] == [3] * 4 + [2] * 20


@pytest.mark.parametrize("window", [0, 7])
def test_rows_are_shown_from_the_top_as_soon_as_they_are_final(window):
    shown: dict[tuple[int, int], list[np.ndarray]] = {}
    events: list[str] = []

    def on_row(number: int, image: int, row: int, codes: np.ndarray) -> None:
        assert len(shown.setdefault((number, image), [])) == row
        shown[number, image].append(codes)
        events.append("row")

    sampler = Sampler(tiny_model(), TEXT, NAMES, 8192, seed=5, jacobi_window=window)
    requests = [PICTURE, replace(DIALOGUE, size=(64, 32))]
    for result in sampler.sample(requests, on_row):
        events.append("done")
        answered = [image for image in result.sequence.images if image.start >= result.answer_start]
        pictures = [part for part in read_answer(result, TEXT) if isinstance(part, np.ndarray)]
        assert len(pictures) == len(answered)
        for image, codes in enumerate(pictures):
            assert np.array_equal(np.stack(shown[result.number, image]), codes)
    assert events.index("done") > 2


def test_the_seed_and_the_number_decide():
    model = tiny_model()
    first = ids(*sample(model, PICTURE))
    assert first == ids(*sample(model, PICTURE))
    assert first != ids(*sample(model, PICTURE, seed=6))
    assert first != ids(*sample(model, replace(PICTURE, number=5)))
    assert first != ids(*sample(model, replace(PICTURE, guidance=1.0)))


def test_only_codes_that_the_vq_has_are_drawn():
    [result] = sample(tiny_model(), replace(PICTURE, image_top_k=8192, size=(128, 128)), num_codes=64)
    codes = ids_to_image(result.sequence.input_ids[result.answer_start : -1], VOCAB)
    assert codes.max() < 64
    assert len(np.unique(codes)) > 10


def test_bfloat16_weights_sample_well_formed_pictures():
    [result] = sample(tiny_model().bfloat16(), PICTURE, window=4)
    assert check_sequence(result.sequence.input_ids, result.sequence.loss_spans, result.sequence.images, VOCAB) == []


def test_what_has_no_room_is_refused_before_any_work():
    context = len(reference_answer(tiny_model(), replace(PICTURE, size=(32, 32)), seed=0)[0])
    enough = context + 4 * 7 + 4 + 1
    assert len(ids(*sample(tiny_model(max_tokens=enough), PICTURE))) == enough
    with pytest.raises(RecipeError, match=f"take {enough} tokens, the model was made for {enough - 1}"):
        sample(tiny_model(max_tokens=enough - 1), replace(PICTURE, number=0, size=(32, 32)), PICTURE)


def test_what_the_limit_cuts_off_ends_in_end_of_turn_and_says_so():
    text = replace(FORMS["text"], kind="text", max_text_tokens=5)
    [result] = sample(tiny_model(), text)
    assert (result.finish, len(ids(result)) - result.answer_start) == ("length", 6)
    limit = result.answer_start + 4
    [result] = sample(tiny_model(max_tokens=limit), text)
    assert (result.finish, len(ids(result))) == ("length", limit)
    assert ids(result)[-1] == VOCAB.end_of_turn
    [result] = sample(tiny_model(max_tokens=60), replace(PICTURE, size=None, num_images=50))
    assert result.finish == "length"
    assert len(ids(result)) <= 60


def test_a_control_token_in_a_prompt_stays_text():
    [result] = sample(tiny_model(), replace(PICTURE, turns=say("<racm3:break> and <reserved08706>")))
    assert ids(result).count(VOCAB.start_of_image) == 1
    assert ids(result).count(VOCAB.end_of_turn) == 2


def test_an_answer_ends_with_its_turn():
    model, question = tiny_model(), [0, *TEXT.encode("What?"), 8710]
    with torch.no_grad():
        hidden = model(torch.tensor([question]), torch.arange(len(question))[None])
        model.lm_head.weight[8710] = hidden[0, -1] * 10
    assert last_logits(model, question).argmax() == 8710
    [result] = sample(model, SampleRequest(0, say("What?"), kind="text", text_top_k=1))
    assert ids(result) == [*question, 8710]
    assert (result.finish, read_answer(result, TEXT)) == ("stop", [])


def test_nothing_asked_nothing_answered():
    assert sample(tiny_model()) == []
