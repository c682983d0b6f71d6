"""What is a caption and what is not: refusals, halves of sentences, failures."""

import hashlib

import pytest

from filters.annotators.answers import Answer, AnswerRules, Failure, is_refusal, whole_sentences

REFUSALS = [
    "I'm sorry, but I can't assist with that request.",
    "I\u2019m sorry, I cannot identify people.",
    "I am very sorry, but this picture is not something to describe.",
    "I'm afraid I can't do that.",
    "Sorry, I can't help with that.",
    "Sorry, but I am not able to describe this.",
    "My apologies, but I must decline.",
    "I apologize for any inconvenience.",
    "Unfortunately, I am unable to view the image.",
    "As an AI language model, I cannot see pictures.",
    "As an AI, I don't have eyes.",
    "I am just a language model and have no eyes.",
    "I'm an AI assistant.",
    "I cannot provide a description of this person.",
    "I can't see any image.",
    "I couldn't identify anybody.",
    "I won't be able to help.",
    "I do not have the ability to view images.",
    "I am not able to identify the person.",
    "We are unable to comply.",
    "**I'm unable to\nprocess this picture.**",
    '"I cannot describe it."',
    "Please upload the picture.",
    "No image was provided.",
]
CAPTIONS = [
    "A dog on a beach.",
    "A sign that says \"I'm sorry, I can't come\".",
    "Sorry sign hanging on a door.",
    "Apologies are written on a card.",
    "An AI robot paints.",
    "As an artist paints, a crowd watches.",
    "I can see a dog on a beach.",
    "I love New York on a t-shirt.",
    "A woman who cannot see walks with a dog.",
    "No image is perfect, says the poster.",
    "Please keep off the grass, says a sign.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_recognised(text):
    assert is_refusal(text)


@pytest.mark.parametrize("text", CAPTIONS)
def test_captions_are_no_refusals(text):
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text, was_cut, whole",
    [
        ("A dog runs. It is on the", True, "A dog runs."),
        ("A dog runs. It is on the", False, "A dog runs."),
        ("A dog runs. It is on the beach.", True, "A dog runs. It is on the beach."),
        ("a dog on a beach", False, "a dog on a beach"),
        ("a dog on a", True, ""),
        ("Dr. Smith and St. Paul stand", True, ""),
        ("The house of J. Smith is 3.5 m high. It", True, "The house of J. Smith is 3.5 m high."),
        ('He says "hi." Then he', True, 'He says "hi."'),
        ("Is it red? It", True, "Is it red?"),
        ("\u4e00\u53ea\u72d7\u3002\u5728\u6d77", True, "\u4e00\u53ea\u72d7\u3002"),
        ("", True, ""),
    ],
)
def test_a_caption_ends_where_its_last_whole_sentence_does(text, was_cut, whole):
    assert whole_sentences(text, was_cut) == whole


def caption(answer, **options):
    defaults = {"source": "blip", "model": "org/blip", "prompt": "What?", "truncated": "cut", "refused": "drop"}
    return AnswerRules(**defaults | options).caption(answer)


def test_a_good_answer_keeps_its_words_and_its_origin():
    found = caption(Answer("  A dog. ", "stop", 3, "abc"))
    assert (found.text, found.source, found.model, found.revision) == ("A dog.", "blip", "org/blip", "abc")
    assert (found.finish, found.num_tokens, found.flaw, found.clip_score) == ("stop", 3, "", None)
    assert found.prompt_hash == hashlib.sha256(b"What?").hexdigest()[:16]
    assert caption(Answer("A dog.", "stop"), prompt="").prompt_hash == ""


@pytest.mark.parametrize(
    "truncated, text, wanted",
    [
        ("cut", "A dog. On", ("A dog.", "")),
        ("cut", "a dog on", ("a dog on", "caption_truncated")),
        ("drop", "A dog. On", ("A dog. On", "caption_truncated")),
        ("drop", "A dog.", ("A dog.", "")),
        ("keep", "A dog. On", ("A dog. On", "")),
    ],
)
def test_what_becomes_of_a_cut_answer_is_an_option(truncated, text, wanted):
    found = caption(Answer(text, "length"), truncated=truncated)
    assert (found.text, found.flaw) == wanted and found.finish == "length"


def test_a_refusal_is_kept_to_be_seen_but_not_used_unless_asked_for():
    for answer in (Answer("I can't see it.", "stop"), Answer("no", "refused"), Answer("I'm sorry, but", "length")):
        found = caption(answer)
        assert (found.text, found.finish, found.flaw) == (answer.text, "refused", "caption_refused")
        assert caption(answer, refused="keep").flaw == ""
    assert caption(Answer("", "refused"), refused="keep").flaw == "caption_refused"


def test_nothing_said_is_no_caption_and_a_failure_has_its_reason():
    assert caption(Answer("  ", "stop")).flaw == "caption_empty"
    failed = caption(Failure("caption_timeout", "too slow"))
    assert (failed.text, failed.finish, failed.flaw) == ("", "error", "caption_timeout")


def test_half_a_surrogate_pair_does_not_reach_the_ledger():
    assert caption(Answer("a \ud83d dog", "stop")).text == "a \ufffd dog"
