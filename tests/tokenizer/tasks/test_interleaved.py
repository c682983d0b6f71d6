"""Interleaved prompts: each picture directly before its words, as often as the paper says, cut from the original, and noted."""

import json
from dataclasses import replace

import pytest

from pipeline.samples import Conversation, Detection, ImageRef, Sample, Turn
from tests.tokenizer.tasks.samples import IMAGE, format_once, framing, reason
from tokenizer.tasks.interleaved import Interleaved

PLAIN = Interleaved(head_fraction=0.0, augment_fraction=0.0, extra_map_fraction=0.0)
CAPTION = "a man and his dog on a beach"
MAN, DOG, BEACH = (0.0, 0.0, 0.5, 1.0), (0.5, 0.5, 0.75, 1.0), (0.0, 0.75, 1.0, 1.0)
FRAMINGS = {"image": framing(1024, 1024)}


def found(phrase: str, box, caption: str = CAPTION, confidence: float = 0.9) -> Detection:
    start = caption.index(phrase)
    return Detection(phrase, box, confidence, (start, start + len(phrase)))


def sample(*detections: Detection, caption: str = CAPTION) -> Sample:
    return Sample("s", caption, {"image": b"picture"}, detections=detections)


BOTH = sample(found("dog", DOG), found("man", MAN))


def crop(box, **values) -> ImageRef:
    return ImageRef("image", box=box, target_size=256, **values)


def question(task: Interleaved, of: Sample, framings=FRAMINGS, seed: int = 0) -> tuple[str | ImageRef, ...]:
    result = format_once(task, of, framings, seed)
    assert isinstance(result, Conversation), result
    return result.turns[0].content


def spell(content) -> str:
    return "".join(part if isinstance(part, str) else "<image>" for part in content)


def test_each_picture_stands_before_its_words_and_the_whole_answers():
    content = ("a ", crop(MAN), " man and his ", crop(DOG), " dog on a beach")
    notes = {
        "crops": [
            {"phrase": "man", "span": [2, 5], "box": [*MAN], "head": False, "changes": []},
            {"phrase": "dog", "span": [14, 17], "box": [*DOG], "head": False, "changes": []},
        ]
    }
    turns = (Turn("user", content), Turn("assistant", (IMAGE,)))
    assert format_once(PLAIN, BOTH, FRAMINGS) == Conversation("s", "interleaved", turns, notes)


@pytest.mark.parametrize(
    "caption, phrase, wanted",
    [
        ("dog on a beach", "dog", "<image> dog on a beach"),
        ("a dog", "dog", "a <image> dog"),
        ("Ein größerer Bär 🐻 frißt.", "Bär 🐻", "Ein größerer <image> Bär 🐻 frißt."),
        ("海辺の犬と人", "犬", "海辺の<image> 犬と人"),
        ("e\u0301tat: a \u202etac\u202c", "tac", "e\u0301tat: a \u202e<image> tac\u202c"),
        ("{prompt} {0} a dog <|image|>\n", "dog", "{prompt} {0} a <image> dog <|image|>\n"),
    ],
)
def test_the_text_is_the_captions_to_the_character(caption, phrase, wanted):
    content = question(PLAIN, sample(found(phrase, DOG, caption), caption=caption))
    assert spell(content) == wanted
    assert all(content) and sum(isinstance(part, ImageRef) for part in content) == 1


def test_other_wordings_stand_around_the_prompt():
    task = replace(PLAIN, wordings=("An image of {width}x{height}: {prompt}!",))
    content = question(task, BOTH, {"image": framing(1024, 1024, crop=(768, 512))})
    assert content == ("An image of 768x512: a ", crop(MAN), " man and his ", crop(DOG), " dog on a beach!")
    many = replace(PLAIN, wordings=("1 {prompt}", "2 {prompt}"))
    assert {question(many, BOTH, seed=seed)[0][0] for seed in range(20)} == {"1", "2"}


@pytest.mark.parametrize("max_crops, shown", [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_at_most_so_many_are_shown(max_crops, shown):
    many = sample(found("dog", DOG), found("man", MAN), found("beach", BEACH))
    content = question(replace(PLAIN, max_crops=max_crops), many)
    assert sum(isinstance(part, ImageRef) for part in content) == shown
    assert spell(content).replace("<image> ", "") == CAPTION


def test_which_are_shown_is_drawn_without_regard_to_their_order():
    many = sample(found("dog", DOG, confidence=0.5), found("man", MAN), found("beach", BEACH, confidence=0.6))
    contents = [question(replace(PLAIN, max_crops=2), many, seed=seed) for seed in range(3000)]
    for box in (DOG, MAN, BEACH):
        assert sum(crop(box) in content for content in contents) / 3000 == pytest.approx(2 / 3, abs=0.03)


def test_the_bounds_are_options_and_reach_the_crops():
    assert reason(format_once(PLAIN, sample(found("dog", (0, 0, 0.1, 0.1))), FRAMINGS)) == "crops_too_small"
    assert reason(format_once(PLAIN, sample(found("dog", (0, 0, 1, 0.8))), FRAMINGS)) == "crops_too_large"
    wide = {"image": framing(2048, 1024, crop=(1024, 1024))}
    assert reason(format_once(PLAIN, sample(found("dog", (0.0, 0.0, 0.375, 1.0))), wide)) == "crops_cut_away"
    lax = replace(PLAIN, min_crop_side=100, max_crop_share=0.9, min_visible=0.25, min_confidence=0.2)
    assert question(lax, sample(found("dog", (0, 0, 0.1, 0.1))))
    assert question(lax, sample(found("dog", (0, 0, 1, 0.8))))
    assert question(lax, sample(found("dog", DOG, confidence=0.3)))
    assert question(lax, sample(found("dog", (0.0, 0.0, 0.375, 1.0))), wide)


def test_boxes_at_one_place_are_one_crop():
    twice = sample(found("man", MAN), found("dog", MAN, confidence=0.8))
    assert question(PLAIN, twice) == ("a ", crop(MAN), " man and his dog on a beach")
    assert spell(question(replace(PLAIN, max_overlap=1.0), twice)) == "a <image> man and his <image> dog on a beach"


def test_a_sample_that_cannot_be_shown_is_left_out_with_a_reason():
    assert reason(format_once(PLAIN, BOTH, {})) == "no_image"
    assert reason(format_once(PLAIN, replace(BOTH, caption=" "), FRAMINGS)) == "no_caption"
    assert reason(format_once(PLAIN, sample(), FRAMINGS)) == "no_detection"
    assert reason(format_once(PLAIN, sample(found("dog", DOG, confidence=0.3)), FRAMINGS)) == "no_detection"
    assert reason(format_once(PLAIN, sample(Detection("dog", DOG, 0.9)), FRAMINGS)) == "no_detection"


HEAD = Detection("head", (0.125, 0.0, 0.25, 0.125), 0.9)
HEADS = replace(PLAIN, head_fraction=1.0, head_margin=0.5)
WIDE_HEAD = (0.0625, 0.0, 0.3125, 0.1875)


def test_a_persons_head_is_shown_with_its_margin_and_noted():
    result = format_once(HEADS, sample(found("man", MAN), found("dog", DOG), HEAD), FRAMINGS)
    assert result.turns[0].content == ("a ", crop(WIDE_HEAD), " man and his ", crop(DOG), " dog on a beach")
    assert [(one["phrase"], one["head"], one["box"]) for one in result.notes["crops"]] == [
        ("man", True, [*WIDE_HEAD]),
        ("dog", False, [*DOG]),
    ]


@pytest.mark.parametrize(
    "other",
    [
        replace(HEAD, phrase="hat"),
        replace(HEAD, confidence=0.34),
        replace(HEAD, box=(0.8, 0.0, 0.9, 0.1)),  # not in his box
        replace(HEAD, box=(0.125, 0.0, 0.125 + 63 / 1024, 64 / 1024)),
    ],
)
def test_without_a_fitting_head_the_person_is_shown(other):
    assert crop(MAN) in question(HEADS, sample(found("man", MAN), other))


@pytest.mark.parametrize("pixels, is_shown", [(64, True), (63, False)])
def test_heads_have_a_least_size_of_their_own(pixels, is_shown):
    small = replace(HEAD, box=(0.125, 0.0, 0.125 + 64 / 1024, pixels / 1024))
    content = question(HEADS, sample(found("man", MAN), small))
    assert (crop(MAN) not in content) == is_shown
    assert crop(MAN) not in question(replace(HEADS, min_head_side=63), sample(found("man", MAN), small))


def test_a_head_that_the_answer_does_not_show_stands_for_nobody():
    low = {"image": framing(1024, 1024, crop=(1024, 512))}  # from 0.25 to 0.75
    assert crop(MAN) in question(HEADS, sample(found("man", MAN), HEAD), low)
    assert crop(MAN) not in question(HEADS, sample(found("man", MAN), replace(HEAD, box=(0.125, 0.25, 0.25, 0.375))), low)


def test_a_head_that_reaches_beyond_the_picture_ends_at_its_border():
    outside = replace(HEAD, box=(-0.125, -0.125, 0.125, 0.125))
    assert question(HEADS, sample(found("man", MAN), outside))[1] == crop((0.0, 0.0, 0.1875, 0.1875))


def test_a_head_never_shows_more_than_a_crop_may():
    wide = replace(HEADS, head_margin=6.0)  # the head becomes 0.875 of the picture
    assert crop(MAN) in question(replace(wide, max_crop_share=0.874), sample(found("man", MAN), HEAD))
    assert crop(MAN) not in question(replace(wide, max_crop_share=0.875), sample(found("man", MAN), HEAD))


def test_the_head_of_a_child_is_not_the_mans():
    child = Detection("child", (0.0, 0.0, 0.25, 0.5), 0.9)
    assert crop(MAN) in question(HEADS, sample(found("man", MAN), child, HEAD))


def test_a_head_that_has_words_is_a_crop_of_its_own_and_not_shown_twice():
    caption = "a man with a large head"
    own = found("head", (0.0, 0.0, 0.25, 0.25), caption)
    content = question(HEADS, sample(found("man", MAN, caption), own, caption=caption))
    assert content == ("a ", crop(MAN), " man with a large ", crop(own.box), " head")


def test_the_words_for_persons_and_heads_are_options():
    task = replace(HEADS, person_words=("dog",), head_words=("muzzle",))
    muzzle = Detection("muzzle", (0.5, 0.5, 0.625, 0.625), 0.9)
    content = question(task, sample(found("man", MAN), found("dog", DOG), HEAD, muzzle))
    assert content[1] == crop(MAN) and content[3] == crop((0.4375, 0.4375, 0.6875, 0.6875))


OFTEN = 3000


def test_seven_heads_in_ten():
    with_head = sample(found("man", MAN), HEAD)
    heads = [format_once(Interleaved(), with_head, FRAMINGS, seed).notes["crops"][0]["head"] for seed in range(OFTEN)]
    assert sum(heads) / OFTEN == pytest.approx(0.7, abs=0.025)


def test_one_crop_in_five_is_changed_and_it_is_noted():
    notes = [format_once(Interleaved(), BOTH, FRAMINGS, seed) for seed in range(OFTEN)]
    changed = 0
    for conversation in notes:
        refs = [part for part in conversation.turns[0].content if isinstance(part, ImageRef)]
        for ref, note in zip(refs, conversation.notes["crops"], strict=True):
            assert note["changes"] == [{"kind": change.kind, "values": list(change.values)} for change in ref.changes]
            changed += bool(ref.changes)
    assert changed / (2 * OFTEN) == pytest.approx(0.2, abs=0.02)


def test_each_crop_has_luck_of_its_own():
    crops = [format_once(Interleaved(augment_fraction=0.5), BOTH, FRAMINGS, seed).notes["crops"] for seed in range(OFTEN)]
    assert sum(bool(one["changes"]) == bool(other["changes"]) for one, other in crops) / OFTEN == pytest.approx(0.5, abs=0.03)


def test_only_crops_are_changed_never_the_answer_or_the_map():
    task = Interleaved(augment_fraction=1.0, extra_map_fraction=1.0, changes=("flip",))
    result = format_once(task, BOTH, FRAMINGS | {"depth": framing(1024, 1024)})
    *crops, extra = [part for part in result.turns[0].content if isinstance(part, ImageRef)]
    assert all([change.kind for change in ref.changes] == ["flip"] for ref in crops)
    assert extra == ImageRef("depth", target_size=256)
    assert result.turns[1].content == (IMAGE,)


MAPS = {role: framing(512, 512) for role in ("canny", "depth", "sketch")}


def test_three_prompts_in_ten_end_with_a_map_any_of_those_there():
    drawn = [format_once(Interleaved(), BOTH, FRAMINGS | MAPS, seed).notes.get("extra_map") for seed in range(OFTEN)]
    assert sum(role is not None for role in drawn) / OFTEN == pytest.approx(0.3, abs=0.025)
    for role in MAPS:
        assert drawn.count(role) / OFTEN == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("tail", ["", " ", " \n"])
def test_the_map_stands_at_the_end_after_one_space(tail):
    task = replace(PLAIN, extra_map_fraction=1.0, extra_maps=("sketch",), map_target_size=0)
    result = format_once(task, replace(BOTH, caption=CAPTION + tail), FRAMINGS | MAPS)
    assert result.turns[0].content[-2:] == (" dog on a beach ", ImageRef("sketch"))
    assert result.notes["extra_map"] == "sketch"


def test_a_map_that_is_not_there_or_does_not_line_up_is_not_shown():
    task = replace(PLAIN, extra_map_fraction=1.0)
    plain = question(PLAIN, BOTH)
    assert question(task, BOTH) == plain
    assert question(task, BOTH, FRAMINGS | {"normal": framing(1024, 1024), "depth": framing(1024, 1024, is_aligned=False)}) == plain
    assert question(replace(task, extra_maps=("normal",)), BOTH, FRAMINGS | {"normal": framing()})[-1] == ImageRef(
        "normal", target_size=256
    )


def test_the_same_dice_give_the_same_prompt_and_others_another():
    of = sample(found("man", MAN), found("dog", DOG), found("beach", BEACH), HEAD)
    first = [format_once(Interleaved(), of, FRAMINGS | MAPS, seed) for seed in range(30)]
    assert first == [format_once(Interleaved(), of, FRAMINGS | MAPS, seed) for seed in range(30)]
    assert len({conversation.turns for conversation in first}) > 15


def test_an_option_moves_only_what_it_is_about():
    of = sample(found("beach", BEACH, confidence=0.5), found("man", MAN), found("dog", DOG), HEAD)

    def changes(task: Interleaved, seed: int) -> dict[str, list]:
        return {one["phrase"]: one["changes"] for one in format_once(task, of, FRAMINGS | MAPS, seed).notes["crops"]}

    for seed in range(50):
        usual = changes(Interleaved(), seed)
        assert changes(Interleaved(head_fraction=0.0, extra_map_fraction=0.0), seed) == usual
        strict = changes(Interleaved(min_confidence=0.6), seed)
        assert strict == {phrase: usual[phrase] for phrase in ("man", "dog")}


def test_notes_are_what_json_can_hold():
    of = sample(found("man", MAN), found("dog", DOG), HEAD)
    notes = format_once(Interleaved(augment_fraction=1.0, extra_map_fraction=1.0), of, FRAMINGS | MAPS).notes
    assert json.loads(json.dumps(notes)) == notes
