"""From prompts to requests: what an answer is called, what it is drawn by, and what cannot be asked."""

import pytest

from jobs.recipe import load_recipe
from jobs.sampling.plan import check_lengths, fingerprint, plan_requests
from jobs.sampling.prompts import Prompt
from pipeline.errors import RecipeError
from pipeline.samples import ImageRef, Turn
from tests.jobs.lm.tiny import TEXT
from tests.jobs.sampling_recipes import write_model, write_pictures, write_sample_recipe
from tokenizer.layout import image_length


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    model = write_model(folder / "model")
    write_pictures(folder)
    return folder, load_recipe(str(write_sample_recipe(folder, model)[0]), []), model


def plan(place, *prompts):
    return plan_requests(place[1], prompts, place[2])


def test_noise_is_drawn_by_the_answer_s_number_or_by_the_item_s_own_seed_and_repeat(place):
    asked = plan(place, Prompt("a", "a", settings={"num": 2}), Prompt("b", "b", settings={"num": 2, "seed": 8}, key="name"))
    assert [one.noise for one in asked] == [(3, 0), (3, 1), (8, 0), (8, 1)]
    assert [one.line["key"] for one in asked] == ["0000", "0001", "name", "name-1"]
    [alone] = plan(place, Prompt("b", "b", settings={"seed": 8}))
    assert alone.noise == asked[2].noise


def test_a_size_comes_from_the_item_else_from_its_picture_else_from_the_recipe(place):
    shown = {"image": (str(place[0]), "b.png")}
    turns = (Turn("user", (ImageRef("image"),)),)
    asked = plan(
        place,
        Prompt("1", "a"),
        Prompt("2", "a", settings={"size": "auto"}),
        Prompt("3", "", turns, shown),
        Prompt("4", "", turns, shown, {"size": "32x32"}),
    )
    assert [one.size for one in asked] == [(64, 32), None, (64, 64), (32, 32)]
    assert asked[1].turns[0].content == ("Generate an image according to the following prompt:\na",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "64x30"}, "multiples of 32"),
        ({"answer": "picture"}, "one of image, text, free"),
        ({"num": 0}, "num: 1 or more"),
        ({"temperature": 0}, "temperature: above 0"),
        ({"guidance": -0.1}, "guidance: 0 or more"),
        ({"seed": -1}, "seed: 0 or more"),
        ({"image_guidance": 1.5}, "image_guidance is for dialogues that show a picture"),
    ],
)
def test_settings_out_of_range_are_refused_with_their_place(place, settings, message):
    with pytest.raises(RecipeError, match=message) as error:
        plan(place, Prompt("file:7", "a", settings=settings))
    assert str(error.value).startswith("file:7: ")


def test_two_items_of_one_name_and_pictures_that_are_not_there_are_refused(place):
    with pytest.raises(RecipeError, match="b: its answers would be named 'x', as those of a"):
        plan(place, Prompt("a", "a", key="x"), Prompt("b", "b", key="x"))
    with pytest.raises(RecipeError, match=r"a: none.png: .*FileNotFoundError"):
        plan(place, Prompt("a", "a", pictures={"image": (str(place[0]), "none.png")}))


def test_an_answer_that_just_fits_is_let_through(place):
    [one] = plan(place, Prompt("a", "a red circle"))
    words = len(TEXT.encode(one.turns[0].content[0]))
    fits = 1 + words + 1 + image_length(32, 64) + 1
    check_lengths([one], TEXT, fits)
    with pytest.raises(RecipeError, match=f"take {fits} tokens, the model was made for {fits - 1}"):
        check_lengths([one], TEXT, fits - 1)


def test_an_answer_in_text_needs_room_for_a_token(place):
    [one] = plan(place, Prompt("a", "a", settings={"answer": "text"}))
    check_lengths([one], TEXT, 1 + len(TEXT.encode("a")) + 1 + 2)
    with pytest.raises(RecipeError, match="the model was made for"):
        check_lengths([one], TEXT, 1 + len(TEXT.encode("a")) + 1 + 1)


def test_any_change_of_a_line_is_another_run(place):
    prompts = [Prompt("a", "a"), Prompt("a", "a", settings={"guidance": 3.0}), Prompt("a", "b")]
    assert len({fingerprint(plan(place, prompt), {}) for prompt in prompts}) == 3
    assert fingerprint(plan(place, prompts[0]), {}) == fingerprint(plan(place, prompts[0]), {})
