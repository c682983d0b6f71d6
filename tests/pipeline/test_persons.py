"""Which phrases are about a person."""

import pytest

from pipeline.persons import PERSON, PERSONS, is_person


@pytest.mark.parametrize("phrase", ["man", "a young Man", "MAN.", "the old woman", " person ", "the “child”, boy"])
def test_a_phrase_that_ends_in_a_word_for_a_person_is_one(phrase):
    assert is_person(phrase, PERSON)


@pytest.mark.parametrize("phrase", ["man's hat", "baby elephant", "dog", "", "  ", "woman in red", "men", "mankind"])
def test_other_phrases_are_not(phrase):
    assert not is_person(phrase, PERSON)


@pytest.mark.parametrize("phrase", ["men", "many People", 'two "people"'])
def test_several_persons_have_words_of_their_own(phrase):
    assert is_person(phrase, PERSONS) and not is_person(phrase, PERSON)


def test_no_word_is_in_both_lists_or_twice():
    assert len({*PERSON, *PERSONS}) == len(PERSON) + len(PERSONS)
    assert all(word == word.lower() and len(word.split()) == 1 for word in (*PERSON, *PERSONS))


def test_the_words_are_an_option():
    assert is_person("a blue robot", ("Robot",))
    assert not is_person("a man", ("robot",))
