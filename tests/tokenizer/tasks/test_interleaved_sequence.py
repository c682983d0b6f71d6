"""Interleaved prompts as token sequences: each crop in its own size and place, its pixels cut from the original."""

from dataclasses import replace

import numpy as np
from PIL import Image

from pipeline.buckets import fit_bucket
from pipeline.images import apply_crop, plan_crop
from pipeline.samples import Sample
from pipeline.unit_job import Work
from tests.tokenizer.tasks.samples import IMAGE
from tests.tokenizer.tasks.test_interleaved import BOTH, CAPTION, DOG, MAN, PLAIN, crop
from tests.tokenizer.test_finisher import finish, make_sample, png
from tokenizer.finisher import SequenceMaker
from tokenizer.grammar import check_sequence
from tokenizer.layout import image_length
from tokenizer.options import BUNDLED_TEXT_TOKENIZER, TokenOptions
from tokenizer.tasks.task import WeightedTask
from tokenizer.text import TextTokenizer


def make_interleaved(**options) -> SequenceMaker:
    task = WeightedTask("interleaved", replace(PLAIN, min_crop_side=20, crop_target_size=64, map_target_size=32, **options))
    maker = SequenceMaker(TokenOptions(target_size=128), (task,), seed=0)
    maker.setup()
    return maker


def real_sample() -> Sample:
    picture, canny = png(256, 320), png(256, 320, seed=1)
    return replace(make_sample("s", CAPTION, image=picture, canny=canny), detections=BOTH.detections)


def test_crops_have_their_own_size_in_the_sequence():
    maker, of = make_interleaved(extra_map_fraction=1.0), real_sample()
    [sequence] = finish(maker, of)
    sizes = [fit_bucket(160, 256, 64), fit_bucket(80, 128, 64), fit_bucket(320, 256, 32), fit_bucket(320, 256, 128)]
    assert [(image.width, image.height) for image in sequence.images] == sizes
    text = TextTokenizer(BUNDLED_TEXT_TOKENIZER)
    assert check_sequence(sequence.input_ids, sequence.loss_spans, sequence.images, text.vocab) == []
    position = 1
    for words, image in zip(("a ", " man and his ", " dog on a beach ", None), sequence.images, strict=True):
        ids = [text.vocab.end_of_turn] if words is None else text.encode(words)
        assert sequence.input_ids[position : position + len(ids)].tolist() == ids
        position += len(ids)
        assert image.start == position
        position += image_length(image.height, image.width)
    assert sequence.loss_spans == ((sequence.images[-1].start, position + 1),)
    assert len(sequence.input_ids) == position + 1
    assert sequence.metadata["extra_map"] == "canny" and len(sequence.metadata["crops"]) == 2


def test_a_crops_pixels_are_cut_from_the_original():
    maker, of = make_interleaved(), real_sample()
    work = maker.work(of)
    assert isinstance(work, Work)
    pixels = dict(zip([picture.ref for picture in work.pictures], maker.pixels(of, work), strict=True))
    original = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 320, 3), np.uint8))
    for box, part in ((MAN, (0, 0, 160, 256)), (DOG, (160, 128, 240, 256))):
        cut = original.crop(part)
        wanted = apply_crop(cut, plan_crop(cut.size, fit_bucket(*cut.size, 64)))
        assert np.array_equal(pixels[replace(crop(box), target_size=64)], np.asarray(wanted))
    assert pixels[IMAGE].shape == (*reversed(fit_bucket(320, 256, 128)), 3)
