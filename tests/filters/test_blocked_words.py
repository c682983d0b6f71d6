"""Whole words, phrases, scripts without spaces; the list is checked before work."""

import pytest

from filters.blocked_words import BlockedWords
from pipeline.errors import RecipeError
from pipeline.samples import ImageRef, Sample, Turn
from tests.filters.verdicts import judged


def count(caption, *words, file=""):
    [verdict] = judged(BlockedWords(words=words, file=file), [Sample("x", caption, {"image": b""})])
    assert verdict.keep == (verdict.scores["blocked_words"] == 0)
    return verdict.scores["blocked_words"]


@pytest.mark.parametrize(
    ("caption", "word", "times"),
    [
        ("a casino at night", "casino", 1),
        ("CASINO Royale, the Casino", "casino", 2),
        ("casinos at night", "casino", 0),
        ("a glass of water", "ass", 0),
        ("cas\u00adino-like", "casino-like", 0),
        ("\uff23\uff21\uff33\uff29\uff2e\uff2f", "casino", 1),
        ("Straße bei Nacht", "STRASSE", 1),
        ("an escort  service", "Escort Service", 1),
        ("an escort of the service", "escort service", 0),
        ("don't do it", "don't", 1),
        ("РУЛЕТКА в отеле", "рулетка", 1),
        ("我在赌博网站", "赌博", 1),
        ("オンラインカジノです", "カジノ", 1),
        ("कमी नहीं", "कम", 0),
        ("कम नहीं", "कम", 1),
        ("لعبة قمار", "قمار", 1),
        ("", "casino", 0),
    ],
)
def test_words(caption, word, times):
    assert count(caption, word) == times


def test_a_file_has_a_word_a_line(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# not wanted\ncasino\n\n赌博\nescort service\n", encoding="utf-8")
    assert count("casino 赌博 and an escort service, roulette", "roulette", file=str(path)) == 4
    rule = BlockedWords(file=str(path))
    rule.check()
    path.write_text("casino\n")
    assert rule.fingerprint() != BlockedWords(words=("casino",)).fingerprint() == ""


def test_turns_are_read_too_and_the_bound_is_an_option():
    turns = (Turn("user", (ImageRef(), "which casino?")), Turn("assistant", ("The Casino",)))
    sample = Sample("x", turns=turns, images={"image": b""})
    [measured] = BlockedWords(words=("casino",)).measure([sample])
    assert measured.scores == {"blocked_words": 2.0}
    assert BlockedWords(words=("casino",), max_found=2).judge(measured.scores) == ""
    assert BlockedWords(words=("casino",), max_found=1).judge(measured.scores) == "blocked_words"


def test_a_list_that_is_missing_empty_or_no_text_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        BlockedWords(file=str(tmp_path / "absent.txt")).check()
    (tmp_path / "empty.txt").write_text("# nothing\n \n")
    with pytest.raises(RecipeError, match="no words are listed"):
        BlockedWords(file=str(tmp_path / "empty.txt")).check()
    (tmp_path / "latin.txt").write_bytes("Spaß".encode("latin-1"))
    with pytest.raises(RecipeError, match="no text in UTF-8"):
        BlockedWords(file=str(tmp_path / "latin.txt")).check()
