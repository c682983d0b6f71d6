"""Words, candidates and labels in captions: spans are true to the caption's own characters."""

import itertools
import random

import pytest

from filters.annotators.phrases import MAX_WORDS, candidates, find_label, words


def said(caption, spans):
    return [caption[slice(*span)] for span in spans]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("A dog.", ["A", "dog"]),
        ("T-shirt, woman's rock 'n' roll - dogs' 3.5", ["T-shirt", "woman's", "rock", "n", "roll", "dogs", "3", "5"]),
        ("the girl\u2019s e\u2011bike", ["the", "girl\u2019s", "e\u2011bike"]),
        ("cafe\u0301 na\u00efve \u00c5ngstr\u00f6m", ["cafe\u0301", "na\u00efve", "\u00c5ngstr\u00f6m"]),
        ("\u4e00\u53ea\u72d7 dog\u72d7", ["\u4e00", "\u53ea", "\u72d7", "dog", "\u72d7"]),
        ("\u304b\u3099", ["\u304b\u3099"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),
        ("a- a-\u72d7", ["a", "a", "\u72d7"]),
        ("\U0001f469\u200d\U0001f680 --- ' \u0301", ["\u0301"]),
        ("snake_case", ["snake", "case"]),
        ("", []),
    ],
)
def test_words_are_letters_and_what_joins_them(text, wanted):
    assert said(text, words(text)) == (text.split() if wanted is None else wanted)


@pytest.mark.parametrize(
    "caption, wanted",
    [
        ("A young woman's T-shirt and two dogs, in the rain.", ["young woman's T-shirt", "dogs", "rain"]),
        ("a man holding a red umbrella", ["man", "red umbrella"]),
        ("An old car is parked next to the brick wall!", ["old car", "brick wall"]),
        ("The dog's", ["dog"]),
        ("It\u2019s a cat; the cat's tail", ["cat", "cat's tail"]),
        ("Dog, dog, DOG and hot dog", ["Dog", "hot dog"]),
        ("red (blue) green/yellow \u201cwhite\u201d", ["red", "blue", "green", "yellow", "white"]),
        ("black cat\nwhite dog  brown\tfox", ["black cat", "white dog  brown\tfox"]),
        ("1234, 5 apples, 1920s car", ["apples", "1920s car"]),
        ("flight 12, 3 4 men", ["flight 12", "men"]),
        ("caf\u00e9 tables and \u041a\u0440\u0430\u0441\u043d\u044b\u0439 \u0434\u043e\u043c", ["caf\u00e9 tables", "Красный дом"]),
        ("\u4e00\u53ea\u72d7\uff0c\u732b", ["\u4e00\u53ea\u72d7", "\u732b"]),
        ("of the and", []),
        ("...", []),
        ("", []),
    ],
)
def test_candidates_stand_between_function_words_and_signs(caption, wanted):
    assert said(caption, candidates(caption, 32)) == wanted


def test_a_long_row_of_words_is_no_phrase():
    row = " ".join(f"tag{number}" for number in range(MAX_WORDS))
    assert said(row, candidates(row, 32)) == [row] and candidates(f"{row} more1", 32) == []


def test_the_first_candidates_are_taken():
    caption = "a cat, a dog and a cow"
    assert said(caption, candidates(caption, 2)) == ["cat", "dog"] and len(candidates(caption, 3)) == len(candidates(caption, 4)) == 3


@pytest.mark.parametrize(
    "label, caption, wanted",
    [
        ("head", "A man's Head, his head", "Head"),
        ("head", "ahead, headless head-on forehead", None),
        ("head", "headless; a head.", "head"),
        ("dog", "The dog\u2019s tail", "dog"),
        ("dog's tail", "the Dog\u2019s tail", "Dog\u2019s tail"),
        ("red dog", "a red, dog; a red  dog's", "red  dog"),
        ("red dog", "red dogs", None),
        ("t-shirt", "a T-shirt", "T-shirt"),
        ("shirt", "a T-shirt", None),
        ("stra\u00dfe", "die STRASSE", "STRASSE"),
        ("a much longer label", "a label", None),
        ("head", "", None),
    ],
)
def test_a_label_is_found_in_whole_words_whatever_the_capitals(label, caption, wanted):
    span = find_label(label, caption)
    assert (span and caption[slice(*span)]) == wanted


def test_candidates_of_any_text_are_whole_words_in_order_and_apart():
    rng = random.Random(5)
    pieces = [*"abZ-'.,\n \u0130\u00df\u4e00\u0301\u200d\U0001f600\u2019", " the ", " dog", " T-shirt", "'s", " of "]
    for _ in range(2000):
        caption = "".join(pieces[int(rng.random() * len(pieces))] for _ in range(30))
        starts, ends = {span[0] for span in words(caption)}, {span[1] for span in words(caption)}
        spans = candidates(caption, 100)
        assert spans == sorted(spans) and all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
        for start, end in spans:
            assert start in starts and (end in ends or (caption[end : end + 2].lower() in ("'s", "\u2019s") and end + 2 in ends))
            assert find_label(caption[start:end], caption) is not None
