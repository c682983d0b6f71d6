"""Captions by models of the library: what they say is what the library's own `generate` says, however the samples are batched."""

import hashlib
import io
import json
from dataclasses import replace
from functools import cache

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from filters.annotators import check_annotator, fingerprint_annotator
from filters.annotators.caption import LocalCaptions
from filters.annotators.caption_model import _Draws
from pipeline.dice import dice
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Sample, Turn
from tests.filters.annotators import tiny_captioners
from tests.filters.annotators.pictures import broken, picture, samples

TOKENS = 8


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("captioners")
    return {
        "blip": str(tiny_captioners.save_blip(root / "blip")),
        "llava": str(tiny_captioners.save_llava(root / "llava")),
        "bare_llava": str(tiny_captioners.save_llava(root / "bare_llava", with_template=False)),
        "blip2": str(tiny_captioners.save_blip2(root / "blip2")),
        "florence": str(tiny_captioners.save_florence(root / "florence")),
        "qwen": str(tiny_captioners.save_qwen(root / "qwen")),
    }


def loaded(folder, **options):
    annotator = LocalCaptions(model=folder, **{"max_new_tokens": TOKENS, "truncated": "keep", "on_failure": "keep_original"} | options)
    check_annotator(annotator)
    annotator.setup(annotator.asks.load())
    return annotator


def texts(annotated):
    return [[caption.text for caption in sample.captions] for sample in annotated]


@cache
def librarys(folder):
    return AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)


def library_says(folder, prompt, sample):
    """As its model cards do it: one picture, the processor, `generate`."""
    processor, model = librarys(folder)
    image = Image.open(io.BytesIO(sample.images["image"]))
    if processor.chat_template:
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
    inputs = processor(images=image, text=prompt, return_tensors="pt") if prompt else processor(images=image, return_tensors="pt")
    said = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)[0]
    given = inputs["input_ids"].shape[1] if prompt else 1
    skip = {"blip": given - bool(prompt), "blip-2": given if prompt else 0, "florence2": 1}.get(model.config.model_type, given)
    return processor.decode(said[skip:], skip_special_tokens=True).strip()


@pytest.mark.parametrize(
    "kind, prompt",
    [
        ("blip", ""),
        ("blip", "a picture of"),
        ("blip2", ""),
        ("blip2", "a picture of"),
        ("florence", "<CAPTION>"),
        ("llava", "describe this"),
        ("qwen", "what is this"),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_captions_are_the_librarys_own_in_batches_of_any_size(folders, kind, prompt, batch_size):
    given = samples(5)
    annotated = loaded(folders[kind], prompt=prompt, batch_size=batch_size).annotate(given)
    assert texts(annotated) == [[library_says(folders[kind], prompt, sample)] for sample in given]
    assert len({text for [text] in texts(annotated)}) > 2


def test_a_caption_says_where_it_comes_from(folders):
    [sample] = loaded(folders["llava"], prompt="describe this", name="llava").annotate(samples(1))
    [caption] = sample.captions
    assert (caption.source, caption.model, caption.flaw, caption.clip_score) == ("llava", folders["llava"], "", None)
    assert caption.prompt_hash == hashlib.sha256(b"describe this").hexdigest()[:16] and sample.caption == "original 0"
    assert caption.finish in ("stop", "length") and 0 < caption.num_tokens <= TOKENS


def test_a_caption_that_ends_by_itself_is_told_from_one_that_was_cut(folders):
    captions = [sample.captions[0] for sample in loaded(folders["qwen"], prompt="describe this picture").annotate(samples(16))]
    assert {caption.finish for caption in captions} == {"stop", "length"}
    assert all(caption.num_tokens == TOKENS for caption in captions if caption.finish == "length")


@pytest.mark.parametrize("kind, prompt", [("blip", ""), ("qwen", "what is this")])
def test_drawn_words_are_a_function_of_seed_and_key(folders, kind, prompt):
    drawing = loaded(folders[kind], prompt=prompt, temperature=1.0, top_p=0.9, num_captions=2, batch_size=4)
    given = samples(5)
    said = texts(drawing.annotate(given))
    assert said != texts(loaded(folders[kind], prompt=prompt).annotate(given))
    assert texts(loaded(folders[kind], prompt=prompt, temperature=1.0, top_p=0.9, num_captions=2, batch_size=1).annotate(given)) == said
    assert texts(drawing.annotate(given[::-1]))[::-1] == said
    assert texts(drawing.annotate([replace(given[0], key="other")])) != said[:1]
    assert texts(loaded(folders[kind], prompt=prompt, temperature=1.0, num_captions=2, seed=1).annotate(given)) != said
    assert any(first != second for first, second in said)


def test_words_are_drawn_with_the_chances_that_the_model_gives():
    scores = torch.log(torch.tensor([[0.1, 0.5, 0.15, 0.25]]))
    for top_p, wanted in ((1.0, [0.1, 0.5, 0.15, 0.25]), (0.7, [0, 2 / 3, 0, 1 / 3]), (0.01, [0, 1, 0, 0])):
        drawn = _Draws([dice(0, str(row), "x") for row in range(4000)], 1.0, top_p)(torch.zeros(4000, 1), scores.expand(4000, 4))
        shares = (drawn == 0).float().mean(0)
        assert torch.allclose(shares, torch.tensor(wanted, dtype=torch.float), atol=0.03) and ((drawn == 0).sum(-1) == 1).all()


def test_beams_find_other_words(folders):
    given = samples(6)
    greedy, beams = (texts(loaded(folders["llava"], prompt="describe this", num_beams=n).annotate(given)) for n in (1, 3))
    assert greedy != beams and all(text for [text] in beams)


def test_dialogues_and_texts_are_not_captioned(folders):
    given = [Sample("text", "only words"), replace(samples(1)[0], turns=(Turn("user", ("hello",)),))]
    assert loaded(folders["blip"]).annotate(given) == given


def test_a_broken_picture_costs_itself_and_no_answer_is_asked_for_twice(folders):
    annotator = loaded(folders["blip"], batch_size=2)
    asked, [model] = [], annotator._model
    annotator._model[:] = [lambda request: asked.extend(request.keys) or model(request)]
    given = [*samples(2), broken("bad"), *samples(2, first=2)]
    with pytest.raises(SampleError, match="bad: broken_image"):
        annotator.annotate(given)
    annotated = annotator.annotate([sample for sample in given if sample.key != "bad"])
    assert asked == ["000", "001", "002", "003"] and all(sample.captions for sample in annotated)


def test_a_picture_that_the_processor_refuses_costs_itself(folders):
    annotator = loaded(folders["qwen"], prompt="what is this", max_side=2000, on_failure="fail")
    given = [*samples(2), Sample("thread", "", {"image": picture(5, size=(900, 1))})]
    with pytest.raises(SampleError, match=r"thread: caption_picture_unusable.*aspect ratio"):
        annotator.annotate(given)
    assert texts(annotator.annotate(given[:2])) == texts(loaded(folders["qwen"], prompt="what is this").annotate(given[:2]))


def test_a_cut_phrase_is_no_caption(folders):
    annotator = loaded(folders["blip"], max_new_tokens=2, truncated="cut", on_failure="fail")
    with pytest.raises(SampleError, match="000: caption_truncated"):
        annotator.annotate(samples(1))


def test_a_prompt_without_the_picture_is_the_recipes_fault(folders):
    with pytest.raises(RecipeError, match="does not suit the model"):
        loaded(folders["bare_llava"], prompt="describe this").annotate(samples(1))
    prompt = "user : <image> describe this assistant :"
    with_template = loaded(folders["llava"], prompt="describe this").annotate(samples(2))
    assert texts(loaded(folders["bare_llava"], prompt=prompt).annotate(samples(2))) == texts(with_template)


def test_what_cannot_be_had_is_refused_before_any_work(folders, tmp_path):
    with pytest.raises(RecipeError, match="cannot be had"):
        check_annotator(LocalCaptions(model=str(tmp_path / "nowhere")))
    copy = tmp_path / "llava"
    tiny_captioners.save_llava(copy)
    (copy / "model.safetensors").rename(copy / "elsewhere")
    with pytest.raises(RecipeError, match=r"has none of model\.safetensors"):
        check_annotator(LocalCaptions(model=str(copy)))
    config = json.loads((copy / "config.json").read_text())
    (copy / "elsewhere").rename(copy / "model.safetensors")
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    with pytest.raises(RecipeError, match="is a llama"):
        check_annotator(LocalCaptions(model=str(copy)))


def test_missing_weights_are_not_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_captioners.save_llava(tmp_path / "llava")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in weights.items() if "layers.1.mlp" not in name}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(RecipeError, match=r"lacks weights, such as .*layers\.1\.mlp"):
        LocalCaptions(model=str(folder)).asks.load()


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"num_captions": 2}, "would all be the same"),
        ({"temperature": 1.0, "num_beams": 2}, "beams are searched"),
        ({"top_p": 0.0}, "top_p"),
        ({"name": "original"}, "'original' is none"),
        ({"batch_size": 0}, "must be 1 or more"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        LocalCaptions(model="x", **options)


def test_a_weight_changed_anywhere_in_the_folder_changes_the_fingerprint(tmp_path):
    """Fine-tuned weights may begin as those that they were made from."""
    (tmp_path / "config.json").write_text("{}")
    weights = bytearray(3 << 20)
    (tmp_path / "model.safetensors").write_bytes(weights)
    before = fingerprint_annotator(LocalCaptions(str(tmp_path)))
    assert fingerprint_annotator(LocalCaptions(str(tmp_path))) == before
    weights[-1] = 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert fingerprint_annotator(LocalCaptions(str(tmp_path))) != before
    assert fingerprint_annotator(LocalCaptions("org/captioner")) == ""
