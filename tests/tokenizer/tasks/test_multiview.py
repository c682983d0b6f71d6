"""Views of one object: so many, of one size, evenly chosen, at the size that the prompt states."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from pipeline.images import read_header
from pipeline.samples import Conversation, ImageRef, Sample
from tests.token_output import TEXT_TOKENIZER_PATH
from tests.tokenizer.tasks.samples import PICTURE, format_once, framing, reason
from tokenizer.finisher import SequenceMaker
from tokenizer.options import TokenOptions
from tokenizer.tasks.multiview import Multiview
from tokenizer.tasks.task import WeightedTask


def views(count: int, width: int = 800, height: int = 800):
    return {f"view_{number}": framing(width, height) for number in range(1, count + 1)}


def shown(result) -> list[int]:
    assert all(ref.target_size == 384 for ref in result.turns[1].content)
    return [int(ref.name.removeprefix("view_")) for ref in result.turns[1].content]


def test_all_views_answer_side_by_side():
    result = format_once(Multiview(), PICTURE, views(16))
    words = "Generate 16 object views of 384x384 according to the following prompt: a red fox"
    assert result.turns[0].content == (words,)
    assert result.turns[1].content == tuple(ImageRef(f"view_{number}", target_size=384) for number in range(1, 17))
    assert (result.key, result.task) == ("fox", "multiview")


@pytest.mark.parametrize("count, wanted", [(4, [1, 2, 3, 4]), (8, [1, 3, 5, 7]), (6, [1, 2, 4, 5]), (9, [1, 3, 5, 7])])
def test_of_more_views_those_are_taken_that_lie_evenly(count, wanted):
    assert shown(format_once(Multiview(num_views=4), PICTURE, views(count))) == wanted


@pytest.mark.parametrize("count, is_used", [(16, True), (15, False)])
def test_fewer_views_are_left_out(count, is_used):
    result = format_once(Multiview(), PICTURE, views(count))
    assert isinstance(result, Conversation) == is_used
    assert is_used or reason(result) == "too_few_views"


def test_views_are_counted_without_a_gap():
    framings = views(17)
    del framings["view_9"]
    assert reason(format_once(Multiview(), PICTURE, framings)) == "too_few_views"


def test_the_prompt_states_the_bucket_width_before_height():
    result = format_once(Multiview(num_views=2), PICTURE, views(2, 1600, 900))
    assert result.turns[0].content[0].startswith("Generate 2 object views of 512x288 according")


def test_views_of_other_sizes_are_left_out_but_for_those_of_one_bucket():
    same = views(2, 800, 800) | {"view_2": framing(400, 401)}
    assert isinstance(format_once(Multiview(num_views=2), PICTURE, same), Conversation)
    other = views(2, 800, 800) | {"view_2": framing(800, 400)}
    assert reason(format_once(Multiview(num_views=2), PICTURE, other)) == "views_differ_in_size"


def test_a_caption_is_wanted():
    assert reason(format_once(Multiview(), replace(PICTURE, caption=" "), views(16))) == "no_caption"


@pytest.mark.parametrize("size", [(500, 500), (100, 100)])
def test_the_views_have_the_size_that_the_prompt_states(size):
    """Whatever the recipe's targets are for pictures that it would enlarge."""
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "PNG")
    images = {f"view_{number}": file.getvalue() for number in (1, 2)}
    sample = Sample("a", "a red fox", images, {role: read_header(data) for role, data in images.items()})
    options = TokenOptions(target_size=512, smaller_targets=(256, 128), text=TEXT_TOKENIZER_PATH)
    maker = SequenceMaker(options, (WeightedTask("multiview", Multiview(num_views=2)),), seed=0)
    maker.setup()
    [draft] = maker.work(sample).drafts
    assert "384x384" in draft.outline.conversation.turns[0].content[0]
    assert [(slot.width, slot.height) for slot in draft.outline.slots] == [(384, 384)] * 2
    assert draft.outline.slots[1].start == draft.outline.slots[0].start + 24 * 25 + 4


@pytest.mark.parametrize("options", [{"num_views": 0}, {"target_size": 100}, {"wordings": ("{caption}",)}])
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(ValueError, match=r"num_views|target size"):
        Multiview(**options)
