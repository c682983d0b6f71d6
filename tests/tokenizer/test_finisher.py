"""From a sample to its sequences: tasks drawn by seed and key, one cut for all pictures, nothing over the limit."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.buckets import fit_bucket
from pipeline.images import read_header
from pipeline.samples import Drop, ImageRef, Pose, Sample, TokenSequence, Turn
from pipeline.unit_job import Work
from tests.broken_pictures import encode
from tests.token_output import TEXT_TOKENIZER_PATH
from tokenizer.finisher import SEQUENCE_TOKENS, TOO_LONG_TASKS, SequenceMaker
from tokenizer.grammar import check_sequence
from tokenizer.options import TokenOptions
from tokenizer.tasks.captioning import Captioning
from tokenizer.tasks.control import Control
from tokenizer.tasks.conversation import OwnTurns
from tokenizer.tasks.editing import Editing
from tokenizer.tasks.task import WeightedTask
from tokenizer.tasks.text_to_image import TextToImage

DRAW, CAPTION = WeightedTask("text_to_image", TextToImage()), WeightedTask("captioning", Captioning())


def png(height: int, width: int, seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def make_sample(key: str = "a", caption: str = "a red fox", turns: tuple[Turn, ...] = (), **images: bytes) -> Sample:
    headers = {role: read_header(data) for role, data in images.items()}
    return Sample(key, caption, images, headers, turns, metadata={"licence": "CC0", "url": "http://x"})


def make(*tasks: WeightedTask, seed: int = 0, **options) -> SequenceMaker:
    maker = SequenceMaker(TokenOptions(target_size=64, text=TEXT_TOKENIZER_PATH, **options), tasks or (DRAW,), seed)
    maker.setup()
    return maker


def finish(maker: SequenceMaker, sample: Sample) -> list[TokenSequence]:
    work = maker.work(sample)
    assert isinstance(work, Work)
    codes = [np.zeros((pixels.shape[0] // 16, pixels.shape[1] // 16), int) for pixels in maker.pixels(sample, work)]
    return maker.finish(work, codes)


def test_a_sample_becomes_a_sequence_that_keeps_the_grammar(vocab):
    [sequence] = finish(make(), make_sample(image=png(70, 90)))
    assert (sequence.key, sequence.task, sequence.caption) == ("a", "text_to_image", "a red fox")
    assert check_sequence(sequence.input_ids, sequence.loss_spans, sequence.images, vocab) == []


def test_a_picture_is_encoded_once_for_all_its_sequences():
    maker, sample = make(DRAW, CAPTION), make_sample(image=png(64, 64))
    work = maker.work(sample)
    assert len(work.pictures) == 1
    assert {sequence.task for sequence in finish(maker, sample)} == {"text_to_image", "captioning"}


def test_repeats_are_numbered_and_so_are_two_entries_of_one_task():
    sample = make_sample(image=png(64, 64))
    thrice = finish(make(WeightedTask("text_to_image", TextToImage(), 3.0)), sample)
    assert [sequence.metadata.get("repeat", 0) for sequence in thrice] == [0, 1, 2]
    twice = finish(make(DRAW, WeightedTask("text_to_image", TextToImage(1.0)), CAPTION), sample)
    assert [(s.task, s.metadata.get("repeat", 0)) for s in twice] == [("text_to_image", 0), ("text_to_image", 1), ("captioning", 0)]


def test_only_the_metadata_asked_for_is_kept():
    [sequence] = finish(make(keep_metadata=("licence", "unknown")), make_sample(image=png(64, 64)))
    assert sequence.metadata == {"licence": "CC0"}


@pytest.mark.parametrize("missing, fits", [(0, True), (1, False)])
def test_a_sequence_over_the_limit_is_dropped_never_cut(missing, fits):
    sample = make_sample(image=png(64, 64))
    [sequence] = finish(make(), sample)
    length = len(sequence.input_ids)
    result = make(max_tokens=length - missing).work(sample)
    assert isinstance(result, Work) == fits
    if not fits:
        assert (result.reason, result.scores) == ("too_long", {SEQUENCE_TOKENS: length})


def test_the_sequences_that_fit_are_kept_when_others_do_not():
    sample = make_sample(image=png(64, 64))
    lengths = [len(sequence.input_ids) for sequence in finish(make(DRAW, CAPTION), sample)]
    shorter = min(lengths)
    assert shorter < max(lengths)
    maker = make(DRAW, CAPTION, max_tokens=shorter)
    assert [len(sequence.input_ids) for sequence in finish(maker, sample)] == [shorter]


def test_no_sample_is_lost_to_a_draw_of_what_is_too_long():
    data = png(64, 64)
    half = (WeightedTask("text_to_image", TextToImage(), 0.5), WeightedTask("captioning", Captioning(), 0.5))
    lengths = [len(sequence.input_ids) for sequence in finish(make(DRAW, CAPTION), make_sample(image=data))]
    maker = make(*half, max_tokens=min(lengths))
    for key in range(20):
        work = maker.work(make_sample(str(key), image=data))
        assert len(work.drafts) == 1 and work.scores[TOO_LONG_TASKS] == 1.0
    assert TOO_LONG_TASKS not in make(*half).work(make_sample(image=data)).scores


def test_what_an_annotator_is_sure_to_add_or_to_replace_is_planned_with():
    control = WeightedTask("control", Control(conditions=("canny",)))
    sample, own = make_sample(image=png(64, 96)), make_sample(image=png(64, 96), canny=png(96, 64))
    assert make(control).offers(sample).tolist() == [0] and make(control).offers(own).tolist() == [0]
    promising = replace(make(control), promised=("canny",))
    promising.setup()
    assert promising.offers(sample)[0] > 0 and promising.offers(own)[0] == 0  # its own one stays, and does not lie on the picture
    replacing = replace(promising, replaced=("canny",))
    replacing.setup()
    assert replacing.offers(own)[0] > 0


def test_what_no_task_can_use_is_dropped_with_the_first_tasks_reason():
    assert make(DRAW, CAPTION).work(make_sample()).reason == "no_image"
    assert make(CAPTION).work(make_sample(caption="", image=png(64, 64))).reason == "no_caption"


def test_tasks_are_drawn_by_seed_and_key_alone():
    tasks = (WeightedTask("text_to_image", TextToImage(), 0.5), WeightedTask("captioning", Captioning(), 0.5))
    data = png(64, 64)

    def drawn(seed: int) -> list[str]:
        maker = make(*tasks, seed=seed)
        return [draft.outline.conversation.task for key in range(40) for draft in maker.work(make_sample(str(key), image=data)).drafts]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert 8 < drawn(0).count("captioning") < 32
    assert len(drawn(0)) == 40


def test_a_random_cut_is_the_same_for_all_pictures_of_a_sample():
    turns = (Turn("user", (ImageRef("image"), ImageRef("edited_1"))), Turn("assistant", ("yes",)))
    data = png(64, 100)
    sample = make_sample(turns=turns, image=data, edited_1=data)
    for crop in ("random", "center"):
        maker = make(WeightedTask("conversation", OwnTurns()), crop=crop)
        one, other = maker.pixels(sample, maker.work(sample))
        assert np.array_equal(one, other)


def test_random_cuts_differ_by_key_and_centred_ones_do_not():
    data = png(64, 100)
    places = {}
    for crop in ("random", "center"):
        maker = make(crop=crop)
        crops = [maker.work(make_sample(str(key), image=data)).pictures[0].crop for key in range(20)]
        places[crop] = {(crop.x, crop.y) for crop in crops}
    assert len(places["center"]) == 1
    assert len(places["random"]) > 1


def test_pixels_are_those_of_the_bucket():
    sample = make_sample(image=png(90, 70))
    maker = make()
    [pixels] = maker.pixels(sample, maker.work(sample))
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    assert pixels.shape[0] % 32 == pixels.shape[1] % 32 == 0


def test_text_only_samples_need_no_picture():
    turns = (Turn("user", ("Name a prime.",)), Turn("assistant", ("7.",)))
    maker, sample = make(WeightedTask("conversation", OwnTurns())), make_sample(turns=turns)
    assert maker.work(sample).pictures == ()
    assert not isinstance(maker.work(sample), Drop)
    assert finish(maker, sample)[0].images == ()


def test_maps_of_any_size_are_cut_and_sized_as_the_main_picture():
    body = Pose(((0.5, 0.5, 1.0),) * 17)
    ids = np.random.default_rng(0).integers(0, 9, (45, 35), np.uint8)
    roles = ("image", "depth", "segmentation", "normal", "pose", "edited_1")
    turns = (Turn("user", tuple(ImageRef(role) for role in roles)), Turn("assistant", ("yes",)))
    images = {"image": png(90, 70), "depth": encode(Image.fromarray(ids), "PNG"), "segmentation": encode(Image.fromarray(ids), "PNG")}
    sample = replace(make_sample(turns=turns, **images, normal=png(180, 140), edited_1=png(91, 71)), poses=(body,))
    maker = make(WeightedTask("conversation", OwnTurns()))
    work = maker.work(sample)
    assert len({picture.crop for picture in work.pictures}) == 1 and len(work.pictures) == len(roles)
    assert len({pixels.shape for pixels in maker.pixels(sample, work)}) == 1
    [sequence] = finish(maker, sample)
    assert len({(image.height, image.width) for image in sequence.images}) == 1


def test_an_edited_picture_of_other_proportions_is_cut_by_itself_where_that_is_allowed():
    sample = replace(make_sample(image=png(64, 128), edited_1=png(128, 64, seed=1)), metadata={"instruction_1": "Turn it."})
    assert make(WeightedTask("editing", Editing())).work(sample).reason == "edited_1_not_aligned"
    maker = make(WeightedTask("editing", Editing(require_alignment=False)))
    work = maker.work(sample)
    shapes = [pixels.shape[:2] for pixels in maker.pixels(sample, work)]
    assert shapes == [fit_bucket(128, 64, 64)[::-1], fit_bucket(64, 128, 64)[::-1]] and shapes[0] != shapes[1]
