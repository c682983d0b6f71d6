"""Sessions of edits, whole, cut at a turn, or turn by turn."""

from dataclasses import replace

import pytest

from pipeline.samples import Conversation, ImageRef, Turn
from tests.tokenizer.tasks.samples import IMAGE, PICTURE, format_once, framing, reason
from tokenizer.tasks.editing import Editing

SESSION = replace(PICTURE, metadata={"instruction_1": "Remove the cup.", "instruction_2": "Add a spoon.", "instruction_3": "Now at night."})
FRAMINGS = {role: framing() for role in ("image", "edited_1", "edited_2", "edited_3")}
EDITED = [ImageRef(f"edited_{number}") for number in (1, 2, 3)]
TURNS = (
    Turn("user", ("Remove the cup. ", IMAGE)),
    Turn("assistant", (EDITED[0],)),
    Turn("user", ("Add a spoon.",)),
    Turn("assistant", (EDITED[1],)),
    Turn("user", ("Now at night.",)),
    Turn("assistant", (EDITED[2],)),
)
CROOKED = framing(500, 500, is_aligned=False)


def without(number: int, text: object = " "):
    """The session with another instruction at this turn."""
    return replace(SESSION, metadata=SESSION.metadata | {f"instruction_{number}": text})


def test_a_session_shows_its_picture_once():
    assert format_once(Editing(), SESSION, FRAMINGS) == Conversation("fox", "editing", TURNS)


@pytest.mark.parametrize("max_turns, num_turns", [(0, 6), (1, 2), (2, 4), (3, 6), (9, 6)])
def test_a_longer_session_is_cut_at_a_whole_turn(max_turns, num_turns):
    assert format_once(Editing(max_turns=max_turns), SESSION, FRAMINGS).turns == TURNS[:num_turns]


@pytest.mark.parametrize("text", ["", " \n", None, 7])
def test_a_session_ends_before_a_turn_without_instruction(text):
    assert format_once(Editing(), without(3, text), FRAMINGS).turns == TURNS[:4]
    assert format_once(Editing(), without(2, text), FRAMINGS).turns == TURNS[:2]
    assert reason(format_once(Editing(), without(1, text), FRAMINGS)) == "no_instruction"


def test_a_session_ends_where_a_picture_is_missing():
    assert format_once(Editing(), SESSION, {role: FRAMINGS[role] for role in ("image", "edited_1", "edited_3")}).turns == TURNS[:2]
    assert reason(format_once(Editing(), SESSION, {"image": framing()})) == "no_edited_1"
    assert reason(format_once(Editing(), SESSION, {"edited_1": framing()})) == "no_image"


def test_a_session_ends_before_a_picture_that_does_not_line_up():
    assert format_once(Editing(), SESSION, FRAMINGS | {"edited_2": CROOKED}).turns == TURNS[:2]
    assert reason(format_once(Editing(), SESSION, FRAMINGS | {"edited_1": CROOKED})) == "edited_1_not_aligned"


def test_pictures_that_need_not_line_up_are_cut_by_themselves():
    result = format_once(Editing(require_alignment=False), SESSION, FRAMINGS | {"edited_2": CROOKED})
    assert [turn.content for turn in result.turns[1::2]] == [(EDITED[0],), (EDITED[1],), (EDITED[2],)]
    assert reason(format_once(Editing(require_alignment=False), SESSION, {"image": framing()})) == "no_edited_1"


def test_spaces_around_an_instruction_are_not_said():
    result = format_once(Editing(), without(1, " Remove the cup.\n"), FRAMINGS)
    assert result.turns[0].content == ("Remove the cup. ", IMAGE)


def test_an_instruction_with_braces_stays_as_it_is():
    assert format_once(Editing(), without(1, "{0} <|image|>"), FRAMINGS).turns[0].content == ("{0} <|image|> ", IMAGE)


def test_one_turn_is_drawn_with_the_picture_that_it_begins_with():
    results = [format_once(Editing(single_turns=True), SESSION, FRAMINGS, seed) for seed in range(300)]
    before = [IMAGE, *EDITED]
    for result in results:
        number = result.notes["turn"]
        words = SESSION.metadata[f"instruction_{number}"]
        assert result.turns == (Turn("user", (f"{words} ", before[number - 1])), Turn("assistant", (before[number],)))
    numbers = [result.notes["turn"] for result in results]
    assert all(70 < numbers.count(number) < 130 for number in (1, 2, 3))


def single(sample, framings, **options) -> set[int]:
    return {format_once(Editing(single_turns=True, **options), sample, framings, seed).notes["turn"] for seed in range(60)}


def test_single_turns_are_drawn_among_those_that_are_whole():
    assert single(without(2), FRAMINGS) == {1, 3}
    assert single(SESSION, FRAMINGS, max_turns=2) == {1, 2}
    assert single(SESSION, FRAMINGS | {"edited_2": CROOKED}) == {1}
    assert single(SESSION, FRAMINGS | {"edited_1": CROOKED}) == {3}
    assert single(SESSION, FRAMINGS | {"edited_1": CROOKED}, require_alignment=False) == {1, 2, 3}


def test_a_session_of_which_no_turn_is_whole_is_left_out():
    task = Editing(single_turns=True)
    assert reason(format_once(task, PICTURE, FRAMINGS)) == "no_instruction"
    assert reason(format_once(task, SESSION, {"image": framing()})) == "no_edited_1"
    assert reason(format_once(task, SESSION, {"image": framing(), "edited_1": CROOKED})) == "edited_1_not_aligned"


def test_other_words_by_option():
    task = Editing(wordings=("<|image|> Please: {instruction}",), follow_up_wordings=("Then: {instruction}",))
    result = format_once(task, SESSION, FRAMINGS)
    assert result.turns[0].content == (IMAGE, " Please: Remove the cup.")
    assert [turn.content for turn in result.turns[2::2]] == [("Then: Add a spoon.",), ("Then: Now at night.",)]


@pytest.mark.parametrize(
    "options",
    [
        {"max_turns": -1},
        {"wordings": ("{instruction}",)},
        {"wordings": ("<|image|>",)},
        {"follow_up_wordings": ("{instruction} <|image|>",)},
    ],
)
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Editing(**options)
