"""Detectors of the library behind one call: boxes and scores are those of the library's own processors, phrases are the caption's own."""

from dataclasses import replace

import pytest

from filters.annotators.phrases import candidates
from filters.annotators.search import Search, corners
from pipeline.errors import RecipeError
from tests.filters.annotators import tiny_detectors
from tests.filters.annotators.detecting import (
    CAPTIONS,
    GROUNDING,
    LISTS,
    THRESHOLDS,
    assert_same,
    found_by,
    library_says,
    librarys,
    loaded_model,
    matches,
    samples,
    save_all,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_all(tmp_path_factory.mktemp("detectors"))


@pytest.mark.parametrize("kind", GROUNDING)
def test_grounded_boxes_are_the_librarys_own(folders, kind):
    box_threshold, text_threshold = THRESHOLDS[kind]
    given = samples(*CAPTIONS)
    seen = 0
    for sample, found in zip(given, found_by(folders, kind, given), strict=True):
        text = sample.caption.lower().strip().removesuffix(".") + "."
        wanted = library_says(folders[kind], sample, text, threshold=box_threshold, text_threshold=text_threshold)
        tokenizer = librarys(folders[kind])[0].tokenizer
        for each, label in matches(found, wanted):
            said = set(tokenizer.tokenize(label.replace("[CLS]", "").replace("[SEP]", "")))
            assert said & set(tokenizer.tokenize(sample.caption[slice(*each.core)])) or "[UNK]" in label
            assert sample.caption[slice(*each.span)] == each.phrase
        seen += len(found)
    assert seen > len(given)


@pytest.mark.parametrize("kind", GROUNDING)
def test_labels_of_a_grounding_model_are_the_librarys_own(folders, kind):
    box_threshold, text_threshold = THRESHOLDS[kind]
    asked = [(("Head", "red dog", "cat"), sample) for sample in samples("", "")] + [(("brown hat", "shirt", "man"), samples("")[0])]
    names = set()
    for labels, sample in asked:
        [found] = found_by(folders, kind, [sample], labels=labels)
        wanted = library_says(folders[kind], sample, [list(labels)], threshold=box_threshold, text_threshold=text_threshold)
        for each, label in matches(found, wanted):
            assert each.span is None and each.is_label and each.phrase in labels
            assert set(each.phrase.lower().split()) & set(label.replace(".", "").split())
            names.add(each.phrase)
    assert len(names) > 1


@pytest.mark.parametrize("kind", LISTS)
def test_chunks_of_a_list_model_are_the_librarys_own(folders, kind):
    given = samples(*CAPTIONS)
    names = set()
    for sample, found in zip(given, found_by(folders, kind, given), strict=True):
        phrases = [sample.caption[slice(*span)] for span in candidates(sample.caption, 32)]
        wanted = library_says(folders[kind], sample, [phrases], threshold=THRESHOLDS[kind][0])
        wanted = [(box, score, phrases[n]) for box, score, n in wanted if box[0] < box[2] and box[1] < box[3]]
        assert found and [each.phrase for each in found] == [phrase for _, _, phrase in wanted]
        assert_same([(each.box, each.confidence) for each in found], [(box, score) for box, score, _ in wanted])
        assert all(sample.caption[slice(*each.span)] == each.phrase for each in found)
        names |= {each.phrase for each in found}
    assert len(names) > 3


@pytest.mark.parametrize("kind", GROUNDING + LISTS)
@pytest.mark.parametrize("phrases", ["auto", "chunks"])
def test_what_shares_a_batch_does_not_move_an_answer(folders, kind, phrases):
    given = samples(*CAPTIONS, *CAPTIONS, "", "dog") + samples("a cat in a red hat and a brown dog")
    options = {"phrases": phrases, "labels": ("head", "red dog")}
    [alone] = zip(*(found_by(folders, kind, [sample], batch_size=1, **options) for sample in given), strict=True)
    for together in (found_by(folders, kind, given, **options), found_by(folders, kind, given[::-1], batch_size=3, **options)[::-1]):
        for one, other in zip(alone, together, strict=True):
            assert [(each.phrase, each.span, each.is_label) for each in one] == [(each.phrase, each.span, each.is_label) for each in other]
            assert_same([(each.box, each.confidence) for each in one], [(each.box, each.confidence) for each in other])


def test_a_caption_that_is_longer_than_the_text_encoder_is_looked_at_in_parts(folders):
    long = "A red dog. " * 5 + "The cat and his hat, " * 4 + "a man in a hat"
    [found] = found_by(folders, "grounding_dino", samples(long))
    tokenizer = librarys(folders["grounding_dino"])[0].tokenizer
    assert len(tokenizer(long)["input_ids"]) > 2 * tiny_detectors.MAX_TEXT
    starts = {each.span[0] // 40 for each in found}
    assert len(starts) > 1 and all(long[slice(*each.span)] == each.phrase for each in found)
    [sample] = samples(long)
    first = library_says(folders["grounding_dino"], sample, "a red dog. " * 5, threshold=0.2, text_threshold=0.1)
    assert {round(score, 4) for _, score, _ in first} >= {round(each.confidence, 4) for each in found if each.span[1] < 54}


@pytest.mark.parametrize("num_words", range(19, 26))
@pytest.mark.parametrize("end", ["", "."])
def test_no_word_of_a_caption_is_cut_off_at_the_end_of_a_text(folders, num_words, end):
    caption = " ".join(["dog"] * num_words) + end
    search = Search("auto", (), 1, 0.5, 0.5, 1)
    rows = list(loaded_model(folders["grounding_dino"])._rows(0, caption, search))
    tokenizer = librarys(folders["grounding_dino"])[0].tokenizer
    assert all(len(tokenizer(row.text)["input_ids"]) <= tiny_detectors.MAX_TEXT for row in rows)
    assert sum(row.text.count("dog") for row in rows) == num_words and len(rows) == 1 + (num_words + 3 > tiny_detectors.MAX_TEXT)


def test_many_labels_are_asked_in_as_many_texts_as_they_need(folders):
    labels = tuple(f"{color} {thing}" for color in ("red", "brown", "the") for thing in ("dog", "cat", "man", "hat", "t-shirt"))
    given = samples("")
    [together] = found_by(folders, "grounding_dino", given, labels=labels)
    tokenizer = librarys(folders["grounding_dino"])[0].tokenizer
    assert sum(len(tokenizer(label, add_special_tokens=False)["input_ids"]) + 1 for label in labels) > 2 * tiny_detectors.MAX_TEXT
    [first] = found_by(folders, "grounding_dino", given, labels=labels[:6])  # 2 + 3 + 3 + 3 + 3 + 5 + 3 tokens; 3 more would be too many
    assert together[: len(first)] == [
        replace(each, box=pytest.approx(each.box, abs=1e-5), confidence=pytest.approx(each.confidence, abs=1e-5)) for each in first
    ]
    assert {each.phrase for each in together} - set(labels[:6])


@pytest.mark.parametrize("kind", ["grounding_dino", "owlvit"])
def test_a_label_that_is_too_long_is_the_recipes_fault_and_a_chunk_is_left_out(folders, kind):
    long = "dog " * 7 + "umbrella-umbrella-umbrella-umbrella-umbrella-umbrella"
    with pytest.raises(RecipeError, match=r"label 'dog dog .* tokens, and the model holds"):
        found_by(folders, kind, samples("cat"), labels=(long,))
    [found] = found_by(folders, kind, samples(f"a cat and {long}"), phrases="chunks")
    assert {each.phrase for each in found} == {"cat"}


def test_a_label_that_is_also_a_chunk_is_looked_for_once(folders):
    [found] = found_by(folders, "owlvit", samples("a DOG and a cat"), labels=("dog",))
    assert {(each.phrase, each.is_label, each.span) for each in found} == {("dog", True, (2, 5)), ("cat", False, (12, 15))}


def test_boxes_are_cut_at_the_borders_and_those_outside_are_none():
    assert corners((0.5, 0.5, 0.5, 1.0)) == (0.25, 0.0, 0.75, 1.0)
    assert corners((0.0, 1.0, 0.5, 0.5)) == (0.0, 0.75, 0.25, 1.0)
    assert corners((0.25, 0.5, 0.5, 0.5), 2.0, 1.0) == (0.0, 0.25, 1.0, 0.75)
    assert corners((0.75, 0.5, 0.5, 0.5), 2.0, 1.0) is None and corners((0.5, 0.5, 0.0, 0.5)) is None
