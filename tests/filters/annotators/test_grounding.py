"""From the scores of tokens to phrases: they are the caption's own characters, whatever lower case and tokens do to them."""

import random
import re

import pytest

from filters.annotators.grounding import ask_caption, ask_labels, grounded_phrase, split_asked, strongest_label
from filters.annotators.phrases import words


def tokens_of(text):
    """As BERT cuts: words, signs one by one."""
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def ground(caption, scores, threshold=0.25):
    """The phrase and its core, where tokens have scores by their text in lower case, 0 unless given; "##ab" follows "x" in "xab"."""
    asked = ask_caption(caption)
    tokens = [(None, 0.9)]  # what opens the text has no characters
    for start, end in tokens_of(asked.text):
        tokens.append((asked.span(start, end), scores.get(asked.text[start:end], 0.0)))
    found = grounded_phrase(caption, words(caption), [*tokens, (None, 0.9)], threshold)
    return found and tuple(caption[slice(*span)] for span in found)


def test_the_model_is_given_the_form_that_it_was_trained_with():
    asked = ask_caption("  A Red DOG \n")
    assert asked.text == "a red dog." and asked.span(2, 9) == (4, 11) and asked.span(9, 10) is None and asked.span(0, 10) == (2, 11)
    assert ask_caption("A dog.").text == "a dog." and ask_caption("A dog!").text == "a dog!."
    assert ask_caption("A dog.").span(5, 6) == (5, 6)


def test_lower_case_that_is_longer_moves_no_span():
    caption = "\u0130\u0130 of \u0130stanbul, a DOG by \u1e9e"
    asked = ask_caption(caption)
    assert len(asked.text) == len(caption) + 4 and asked.text == caption.lower() + "."
    for word in ("dog", "i\u0307stanbul"):
        start = asked.text.index(word)
        assert caption[slice(*asked.span(start, start + len(word)))] == {"dog": "DOG"}.get(word, "\u0130stanbul")
    start = asked.text.index("stanbul") - 1
    assert caption[slice(*asked.span(start, start + 1))] == "\u0130"  # the dot alone
    assert ask_caption("\u039f\u0394\u039f\u03a3").text == "\u03bf\u03b4\u03bf\u03c2."  # a final sigma, as str.lower has it


@pytest.mark.parametrize(
    "caption, scores, wanted",
    [
        ("A Man and his red T-shirt", {"man": 0.7}, ("Man", "Man")),
        ("A Man and his red T-shirt", {"his": 0.3, "red": 0.3, "shirt": 0.6}, ("red T-shirt", "T-shirt")),
        ("a red dog", {"a": 0.5, "red": 0.3, "dog": 0.4}, ("red dog", "dog")),
        ("a red dog", {"red": 0.6, "dog": 0.4}, ("red dog", "red")),
        ("the dogs", {"the": 0.6, "dogs": 0.1}, None),
        ("two of the dogs", {"two": 0.3, "of": 0.3, "the": 0.6, "dogs": 0.3}, ("dogs", "dogs")),
        ("the dog in", {"the": 0.3, "dog": 0.6, "in": 0.5}, ("dog", "dog")),
        ("bowl of soup", {"bowl": 0.6, "of": 0.3, "soup": 0.4}, ("bowl of soup", "bowl")),
        ("bowl of soup", {"bowl": 0.6, "soup": 0.4}, ("bowl", "bowl")),
        ("5 dogs", {"5": 0.6, "dogs": 0.3}, ("dogs", "dogs")),
        ("bus 12", {"bus": 0.3, "12": 0.6}, ("bus 12", "12")),
        ("bus 12", {"12": 0.6}, None),
        ("she smiles", {"she": 0.9}, None),
        ("red, white flag", {"red": 0.4, "white": 0.5, "flag": 0.6}, ("white flag", "flag")),
        ("a dog. cat", {"dog": 0.4, ".": 0.4, "cat": 0.5}, ("cat", "cat")),
        ("a dog\ncat", {"dog": 0.5, "cat": 0.4}, ("dog", "dog")),
        ("the woman's hat", {"woman": 0.5, "hat": 0.1}, ("woman", "woman")),
        ("the woman\u2019s hat", {"woman": 0.5, "hat": 0.3}, ("woman\u2019s hat", "woman")),
        ("a dog and a dog", {"dog": 0.5}, ("dog", "dog")),
        ("a dog", {".": 0.9, "dog": 0.2}, None),
        ("\u4e00\u53ea\u72d7", {}, None),
        ("", {}, None),
    ],
)
def test_the_phrase_is_the_run_of_strong_words_without_function_words_at_its_ends(caption, scores, wanted):
    assert ground(caption, scores) == wanted


def test_a_token_at_the_threshold_does_not_count_and_one_above_does():
    assert ground("dog", {"dog": 0.25}) is None and ground("dog", {"dog": 0.2501}) == ("dog", "dog")
    assert ground("red dog", {"red": 0.25, "dog": 0.5}) == ("dog", "dog")
    assert ground("red dog", {"red": 0.2501, "dog": 0.5}) == ("red dog", "dog")


def test_of_equal_words_the_first_is_the_strongest():
    caption = "dog, cat, dog"
    spans = words(caption)
    assert grounded_phrase(caption, spans, [(span, 0.5) for span in spans], 0.25) == ((0, 3), (0, 3))
    assert grounded_phrase(caption, spans, [(spans[0], 0.4), (spans[1], 0.5), (spans[2], 0.5)], 0.25) == ((5, 8), (5, 8))


def test_a_part_of_a_word_stands_for_the_whole_word():
    caption = "an umbrella"
    assert grounded_phrase(caption, words(caption), [((0, 2), 0.0), ((3, 5), 0.1), ((5, 11), 0.5)], 0.25) == ((3, 11), (3, 11))
    chinese = "\u4e00\u53ea\u72d7"  # no spaces: the tokens that light up, and no more
    assert grounded_phrase(chinese, words(chinese), [((0, 1), 0.0), ((1, 2), 0.3), ((2, 3), 0.5)], 0.25) == ((1, 3), (2, 3))


def test_phrases_of_any_scores_are_whole_words_around_their_core():
    rng = random.Random(3)
    pieces = ["A", " the", " Dog", " \u0130stanbul's", ",", ".", " T-shirt", " red", "\n", "\u72d7", " of", "-", " caf\u00e9"]
    seen = 0
    for _ in range(1000):
        caption = "".join(pieces[int(rng.random() * len(pieces))] for _ in range(12))
        asked = ask_caption(caption)
        tokens = [(asked.span(start, end), rng.random()) for start, end in tokens_of(asked.text)]
        found = grounded_phrase(caption, words(caption), tokens, 0.5)
        if found is None:
            continue
        (start, end), core = found
        seen += 1
        assert start in {word[0] for word in words(caption)} and start <= core[0] < core[1] <= end
        assert caption[start:end] == caption[start:end].strip(" ,.\n") and not re.match(r"(the|a|of)\s", caption[start:end].lower())
        assert not re.search(r"[,.\n]", caption[start:end])
    assert seen > 500


@pytest.mark.parametrize("max_tokens", [1, 3, 4, 7, 100])
def test_the_parts_of_a_long_caption_are_together_the_whole(max_tokens):
    caption = "A \u0130 dog sits. Two cats, one bird fly off!  The end is 3.5 far"
    asked = ask_caption(caption)
    parts = split_asked(asked, tokens_of(asked.text), max_tokens)
    assert all(len(tokens_of(part.text)) <= max_tokens + 1 and part.text.endswith(".") for part in parts)
    covered = [origin for part in parts for origin in part.origins if origin >= 0]
    assert covered == sorted(covered) and {place for place, char in enumerate(caption) if not char.isspace()} <= set(covered)
    for part in parts:
        assert len(part.origins) == len(part.text)
        assert all(
            origin < 0 or caption[origin].lower().startswith(char) or char == "\u0307"
            for char, origin in zip(part.text, part.origins, strict=True)
        )


def test_a_long_caption_is_cut_behind_sentences_or_else_between_words():
    asked = ask_caption("A dog sits. Two cats, one bird-like thing.")
    tokens = tokens_of(asked.text)
    assert [part.text for part in split_asked(asked, tokens, len(tokens) - 1)] == [asked.text]
    assert len(split_asked(asked, tokens, len(tokens) - 2)) == 2
    assert [part.text for part in split_asked(asked, tokens, 9)] == ["a dog sits.", "two cats, one bird-like thing."]
    assert [part.text for part in split_asked(asked, tokens, 6)] == ["a dog sits.", "two cats, one.", "bird-like thing."]
    assert [part.text for part in split_asked(ask_caption("aaaaa"), [(0, 2), (2, 4), (4, 5), (5, 6)], 2)] == ["aaaa.", "a."]


def test_labels_are_asked_one_after_the_other():
    text, spans = ask_labels(["Head", "hot dog", "\u0130"])
    assert text == "head. hot dog. i\u0307." and [text[slice(*span)] for span in spans] == ["head", "hot dog", "i\u0307"]
    tokens = tokens_of("head. hot dog. i.")
    scores = {"head": 0.3, "hot": 0.5, "dog": 0.1, ".": 0.9}
    scored = [(span, scores.get(text[slice(*span)], 0.0)) for span in tokens]
    assert strongest_label(spans, scored, 0.25) == 1 and strongest_label(spans, scored, 0.5) is None
    assert strongest_label(spans, [((0, 0), 0.9), ((0, 4), 0.3)], 0.25) == 0 and strongest_label([], [], 0.25) is None
