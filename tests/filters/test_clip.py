"""The CLIP stage gives what open_clip gives, whatever the batch and the number of threads; wrong models are refused by name."""

import io
import json
import pickle
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image, ImageOps
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from filters.clip import ClipModel
from filters.clip_stage import TRUNCATED, ClipStage, image_embeddings
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Sample, Turn
from tests.filters.clip_models import CONFIG, DIMENSION, PREPROCESS, write_clip

LONG = "one two three four five six seven eight nine ten eleven"


def picture(width, height, mode="RGB", form="PNG", orientation=1, seed=0):
    channels = len(mode)
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, channels), np.uint8)
    image = Image.fromarray(pixels.squeeze() if channels == 1 else pixels, mode).resize((width, height), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    image.save(buffer, form, exif=exif)
    return buffer.getvalue()


def upright_over_white(data):
    """What a picture shows, by Pillow and numpy alone."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode != "RGBA":
        return image.convert("RGB")
    rgba = np.asarray(image).astype(float)
    alpha = rgba[..., 3:] / 255
    return Image.fromarray((rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))


SAMPLES = [
    Sample("odd", "a bear on a bicycle", {"image": picture(131, 77)}),
    Sample("tall", "Café — naïve", {"image": picture(33, 301, form="JPEG")}),
    Sample("tiny", "3 dots", {"image": picture(5, 7)}),
    Sample("alpha", LONG, {"image": picture(64, 48, "RGBA")}),
    Sample("turned", "a thing, on its side", {"image": picture(90, 40, form="JPEG", orientation=6)}),
    Sample("gray", "x", {"image": picture(32, 32, "L")}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clip")


@pytest.fixture(scope="module")
def models(folder):
    return {kind: write_clip(folder / kind, kind) for kind in PREPROCESS}


def ready(spec, loaded=None, with_text=True):
    stage = ClipStage(spec, with_text)
    stage.setup(loaded or spec.load())
    return stage


@pytest.mark.parametrize("kind", PREPROCESS)
def test_vectors_are_open_clip_s_own(models, kind):
    network, _, preprocess = open_clip.create_model_and_transforms(models[kind])
    tokenizer = open_clip.get_tokenizer(models[kind])
    network.eval()
    for sample, got in zip(SAMPLES, ready(ClipModel(models[kind]))(SAMPLES), strict=True):
        with torch.inference_mode():
            image = network.encode_image(preprocess(upright_over_white(sample.images["image"]))[None], normalize=True)[0]
            text = network.encode_text(tokenizer([sample.caption]), normalize=True)[0]
        for name, wanted in (("clip_image", image), ("clip_text", text)):
            vector = got.embeddings[name]
            assert vector.dtype == np.float32 and vector.shape == (DIMENSION,)
            assert abs(vector - wanted.numpy()).max() < 1e-5
            assert abs(np.linalg.norm(vector) - 1) < 1e-6


def test_the_ways_of_preparing_a_picture_differ(models):
    vectors = [ready(ClipModel(model))(SAMPLES[:1])[0].embeddings["clip_image"] for model in models.values()]
    assert min(abs(a - b).max() for a, b in zip(vectors, vectors[1:] + vectors[:1], strict=True)) > 1e-3


def test_vectors_hang_neither_on_the_batch_nor_on_the_threads(models):
    spec, threads = ClipModel(models["clip"]), torch.get_num_threads()
    wanted = None
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            stage = ready(spec)
            for size in (1, 4, 6):
                batches = [stage(SAMPLES[start : start + size]) for start in range(0, len(SAMPLES), size)]
                got = [b"".join(s.embeddings[name].tobytes() for name in ("clip_image", "clip_text")) for batch in batches for s in batch]
                assert wanted is None or got == wanted
                wanted = got
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)


def test_passes_of_several_rows_as_on_a_gpu_give_the_same(models):
    loaded = ClipModel(models["clip"]).load()
    alone = ready(ClipModel(models["clip"]), loaded)(SAMPLES)
    loaded._rows = 4  # six samples: one pass is full, one is padded
    for one, other in zip(alone, ready(ClipModel(models["clip"]), loaded)(SAMPLES), strict=True):
        for name in ("clip_image", "clip_text"):
            assert abs(one.embeddings[name] - other.embeddings[name]).max() < 1e-5


def test_bfloat16_is_near_float32(models):
    exact, rough = (ready(ClipModel(models["clip"], precision=p))(SAMPLES) for p in ("float32", "bfloat16"))
    for a, b in zip(exact, rough, strict=True):
        error = abs(a.embeddings["clip_image"] - b.embeddings["clip_image"]).max()
        assert 0 < error < 0.05 and b.embeddings["clip_image"].dtype == np.float32


@pytest.mark.parametrize(("words", "is_cut"), [(9, 0.0), (10, 0.0), (11, 1.0), (30, 1.0)])
def test_a_caption_over_the_context_is_noted(models, words, is_cut):
    """12 tokens, two of which are the start and the end."""
    caption = " ".join(LONG.split()[0] for _ in range(words))
    [got] = ready(ClipModel(models["clip"]))([replace(SAMPLES[0], caption=caption)])
    assert got.scores == {TRUNCATED: is_cut}


@pytest.mark.parametrize("pad", ["<pad>", "</s>"], ids=["padding of its own", "padded with the end, as SigLIP is"])
def test_a_hugging_face_tokenizer_in_the_folder_is_used(tmp_path, pad):
    words = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "one": 3, "two": 4}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    model = write_clip(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token=pad, eos_token="</s>", unk_token="<unk>").save_pretrained(tmp_path)
    plain = ClipModel(model).fingerprint()
    config = json.loads((tmp_path / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "the one in the folder"
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    ClipModel(model).check()
    assert ClipModel(model).fingerprint() != plain
    stage = ready(ClipModel(model))
    captions = ["one two " * 5, "one two " * 5 + "one", "one two " * 6, "one " * 30]
    ids, is_cut = stage._tokens(captions)
    assert ids[0].tolist() == [3, 4] * 5 + [1, {"<pad>": 0, "</s>": 1}[pad]]
    assert is_cut == [False, False, True, True]


def test_only_captions_of_pictures_are_embedded(models):
    plain = SAMPLES[0]
    stage = ready(ClipModel(models["clip"]))
    batch = [Sample("text", "no picture"), replace(plain, caption=" "), replace(plain, turns=(Turn("user", ("what?",)),)), plain]
    assert [set(got.embeddings) for got in stage(batch)] == [set(), {"clip_image"}, {"clip_image"}, {"clip_image", "clip_text"}]
    assert stage(batch[:1]) == batch[:1] and [got.key for got in stage(batch)] == [sample.key for sample in batch]
    without_text = ready(ClipModel(models["clip"]), with_text=False)
    [got] = without_text([plain])
    assert set(got.embeddings) == {"clip_image"} and not got.scores


def test_further_plain_pictures_have_vectors_of_their_own_and_maps_do_not(models):
    roles = {"image": picture(40, 40), "depth": picture(40, 40, "L"), "image_1": picture(50, 40, seed=1)}
    [got, second] = ready(ClipModel(models["clip"]))([Sample("a", "b", roles), Sample("c", "d", {"image": roles["image_1"]})])
    assert set(got.embeddings) == {"clip_image", "clip_image:image_1", "clip_text"}
    assert got.embeddings["clip_image:image_1"].tobytes() == second.embeddings["clip_image"].tobytes()
    assert [vector.tobytes() for vector in image_embeddings(got)] == [got.embeddings[n].tobytes() for n in list(got.embeddings)[:2]]


def test_a_broken_picture_is_its_sample_s_error(models):
    whole = picture(200, 200, form="JPEG")
    bad = Sample("bad", "x", {"image": whole[: len(whole) // 2]})
    with pytest.raises(SampleError) as error:
        ready(ClipModel(models["clip"]))([SAMPLES[0], bad])
    assert (error.value.key, error.value.reason) == ("bad", "broken_image")


def test_a_stage_travels_before_it_is_set_up(models):
    spec = ClipModel(models["clip"], batch_size=5)
    stage = pickle.loads(pickle.dumps(ClipStage(spec)))
    assert stage == ClipStage(spec) and stage.needs.batch_size == 5 and hash(stage.model) == hash(spec)
    assert len(pickle.dumps(stage)) < 1000


def test_a_model_says_how_wide_its_vectors_are():
    assert ClipModel("ViT-L-14").dimension == 768 and ClipModel("ViT-B-32").dimension == 512


def test_a_checkpoint_file_for_a_model_that_open_clip_knows(folder, models, tmp_path):
    config = tmp_path / "a-small-clip.json"
    config.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(config)
    spec = ClipModel("a-small-clip", str(folder / "clip" / "open_clip_model.safetensors"))
    spec.check()
    [got], [wanted] = ready(spec)(SAMPLES[:1]), ready(ClipModel(models["clip"]))(SAMPLES[:1])
    assert got.embeddings["clip_image"].tobytes() == wanted.embeddings["clip_image"].tobytes()


def test_the_fingerprint_follows_everything_that_scores_hang_on(models, tmp_path):
    spec = ClipModel(models["clip"])
    assert ClipModel(write_clip(tmp_path / "same")).fingerprint() == spec.fingerprint()
    assert replace(spec, batch_size=3, device="cpu").fingerprint() == spec.fingerprint()
    others = [
        ClipModel(write_clip(tmp_path / "other", seed=1)),
        ClipModel(models["siglip"]),
        replace(spec, precision="bfloat16"),
    ]
    assert len({spec.fingerprint(), *(other.fingerprint() for other in others)}) == 4


REFUSED = [
    (ClipModel(), "clip.pretrained: missing, so CLIP is off"),
    (ClipModel("local-dir:/no/such/folder"), "/no/such/folder/open_clip_config.json: no such file"),
    (ClipModel("local-dir:/no", "openai"), "brings its own weights"),
    (ClipModel("ViT-L-41", "openai"), "knows no 'ViT-L-41'"),
    (ClipModel("ViT-L-14", "openia"), "openia is no file, and no tag of ViT-L-14; its tags: openai, laion400m_e31"),
    (ClipModel("ViT-L-14", "openai"), "trained with another activation than ViT-L-14 has; say 'ViT-L-14-quickgelu'"),
    (ClipModel("ViT-L-14", "weights/mine.pt"), "weights/mine.pt is no file"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_what_cannot_be_had_is_refused_before_any_work(spec, message):
    with pytest.raises(RecipeError, match=message):
        spec.check()


def test_weights_that_are_not_in_the_cache_and_cannot_be_fetched_are_refused(monkeypatch, tmp_path):
    """The hub's client is told that it is offline: the same error as without a network, at once."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RecipeError, match=r"'laion2b_s32b_b82k' of ViT-L-14 are not in the cache, and cannot be fetched"):
        ClipModel("ViT-L-14", "laion2b_s32b_b82k").check()


def test_a_folder_without_weights_is_refused(tmp_path):
    name = write_clip(tmp_path)
    (tmp_path / "open_clip_model.safetensors").unlink()
    with pytest.raises(RecipeError, match="there are no weights in"):
        ClipModel(name).check()


def test_weights_of_another_model_are_refused_when_they_are_loaded(tmp_path, models, folder):
    with pytest.raises(RecipeError, match="cannot be loaded as ViT-B-32"):
        ClipModel("ViT-B-32", str(folder / "clip" / "open_clip_model.safetensors")).load()
    (tmp_path / "damaged.pt").write_bytes(b"no weights at all")
    with pytest.raises(RecipeError, match=r"damaged.pt cannot be loaded"):
        ClipModel("ViT-B-32", str(tmp_path / "damaged.pt")).load()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(models):
    with pytest.raises(RecipeError, match="there is no GPU here"):
        ClipModel(models["clip"], device="cuda").load()
