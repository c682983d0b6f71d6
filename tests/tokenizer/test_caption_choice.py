"""Which caption a sequence says is drawn by seed and key, in the shares of the recipe."""

from collections import Counter
from dataclasses import replace

import pytest

from pipeline.errors import RecipeError
from pipeline.samples import Caption, Detection, Sample
from tests.tokenizer.test_finisher import finish, make, make_sample, png
from tokenizer.caption_choice import choose_caption
from tokenizer.options import TokenOptions

HALVES = TokenOptions().captions
BLIP, LLAVA = Caption("from blip", "blip", "org/blip", "abc"), Caption("from llava", "llava", "org/llava", prompt_hash="0123", num_tokens=2)
REFUSED = Caption("I can't", "llava", finish="refused", flaw="caption_refused")


def drawn(shares, *captions, original="original", count=2000, seed=0):
    samples = (Sample(str(number), original, captions=captions) for number in range(count))
    return Counter(choose_caption(sample, shares, seed)[0].caption for sample in samples)


def near(counts, **shares):
    total = sum(counts.values())
    return set(counts) == {name.replace("_", " ") for name in shares} and all(
        abs(counts[name.replace("_", " ")] / total - share) < 0.04 for name, share in shares.items()
    )


def test_half_and_half_is_the_rule():
    assert near(drawn(HALVES, BLIP), original=0.5, from_blip=0.5)
    assert near(drawn(HALVES, BLIP, LLAVA), original=0.5, from_blip=0.25, from_llava=0.25)


def test_shares_by_the_captioners_name():
    shares = {"original": 1.0, "llava": 2.0, "generated": 1.0}
    assert near(drawn(shares, BLIP, LLAVA), original=0.25, from_blip=0.25, from_llava=0.5)
    assert near(drawn({"generated": 1.0}, BLIP, LLAVA), from_blip=0.5, from_llava=0.5)


def test_where_the_drawn_one_is_missing_another_is_used():
    assert near(drawn(HALVES, REFUSED), original=1.0)
    assert near(drawn(HALVES, BLIP, original="  "), from_blip=1.0)
    assert near(drawn({"original": 0.2, "llava": 0.6, "blip": 0.2}, BLIP), original=0.5, from_blip=0.5)
    assert near(drawn({"generated": 1.0, "original": 0.0}, REFUSED), original=1.0)
    assert near(drawn({"llava": 1.0}, BLIP, original=""), from_blip=1.0)
    assert drawn(HALVES, REFUSED, original="") == {"": 2000}


def test_generated_captions_below_the_score_are_not_used_and_those_without_one_are():
    low, high = replace(BLIP, clip_score=0.1), replace(LLAVA, clip_score=0.3)
    only = {"generated": 1.0, "original": 0.0}
    chosen = [choose_caption(Sample(str(n), "original", captions=(low, high)), only, 0, 0.2)[0].caption for n in range(50)]
    assert set(chosen) == {"from llava"}
    assert choose_caption(Sample("x", "original", captions=(low,)), only, 0, 0.2)[0].caption == "original"
    assert choose_caption(Sample("x", "original", captions=(low,)), only, 0, 0.1)[0].caption == "from blip"
    assert choose_caption(Sample("x", "original", captions=(BLIP,)), only, 0, 0.2)[0].caption == "from blip"


def test_a_share_of_nothing_is_never_drawn():
    assert near(drawn({"original": 0.0, "generated": 1.0}, BLIP), from_blip=1.0)
    assert near(drawn({"original": 1.0, "generated": 0.0}, BLIP), original=1.0)


def test_the_draw_hangs_on_seed_and_key_alone():
    def words(seed):
        return [choose_caption(Sample(str(n), "x", captions=(BLIP,)), HALVES, seed)[0].caption for n in range(64)]

    assert words(1) == words(1) != words(2)


def test_the_row_says_which_caption_it_has_and_where_that_comes_from():
    sample = replace(make_sample(image=png(64, 64)), captions=(LLAVA,))
    [generated] = finish(make(captions={"generated": 1.0}, keep_metadata=("licence",)), sample)
    assert generated.caption == "from llava"
    assert generated.metadata == {
        "licence": "CC0",
        "caption_source": "llava",
        "caption_provenance": {"model": "org/llava", "prompt_hash": "0123", "finish": "stop", "num_tokens": 2},
    }
    [original] = finish(make(captions={"original": 1.0}), sample)
    assert (original.caption, original.metadata) == ("a red fox", {"caption_source": "original"})
    assert len(original.input_ids) != 0 and list(original.input_ids) != list(generated.input_ids)


def test_a_sample_without_generated_captions_stays_as_it_was():
    [sequence] = finish(make(), make_sample(image=png(64, 64)))
    assert (sequence.caption, sequence.metadata) == ("a red fox", {})


@pytest.mark.parametrize("shares", [{}, {"original": 0.0}, {"original": -1.0, "generated": 2.0}, {"generated": float("inf")}])
def test_shares_that_say_nothing_are_refused(shares):
    with pytest.raises(RecipeError, match=r"tokens\.captions"):
        TokenOptions(captions=shares)


@pytest.mark.parametrize(
    "span, text, moved",
    [
        ((2, 5), "In the snow a DOG lies", (14, 17)),
        ((2, 5), "hotdogs, and a dog, and a dog", (15, 18)),
        ((2, 5), "hotdogs", None),
        ((2, 5), "a puppy in the snow", None),
        ((10, 22), "Snow (white). It is snow (white)", (0, 12)),
        ((6, 6), "a dog in snow (white)", None),
        (None, "a dog in the snow", None),
    ],
)
def test_detections_keep_their_words_in_another_caption_or_have_none(span, text, moved):
    found = Detection("thing", (0.0, 0.0, 0.5, 0.5), 0.9, span)
    sample = Sample("x", "a dog in  snow (white)", captions=(Caption(text, "blip"),), detections=(found,))
    assert choose_caption(sample, {"generated": 1.0}, 0)[0].detections == (replace(found, span=moved),)


def test_detections_stay_where_the_original_is_drawn():
    found = Detection("dog", (0.0, 0.0, 0.5, 0.5), 0.9, (2, 5))
    sample = Sample("x", "a dog", captions=(Caption("dog", "blip"),), detections=(found,))
    assert choose_caption(sample, {"original": 1.0}, 0)[0].detections == (found,)
