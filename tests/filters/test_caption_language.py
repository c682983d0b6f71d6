"""Languages of short captions; the score does not hang on the number of threads."""

import json
import os
import subprocess
import sys

import pytest

from filters.caption_language import CaptionLanguage
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from tests.filters.verdicts import judged
from tests.jobs.recipes import ROOT

CAPTIONS = json.loads((ROOT / "benchmarks" / "captions_by_language.json").read_text(encoding="utf-8"))
WRITTEN = [json.loads(line)["text"] for line in (ROOT / "examples/photos/metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def judge(captions, **options):
    return judged(CaptionLanguage(**options), [Sample(str(i), caption, {"image": b""}) for i, caption in enumerate(captions)])


def test_english_is_kept():
    assert all(verdict.keep for verdict in judge([*CAPTIONS["en"], *WRITTEN]))


@pytest.mark.parametrize("language", [language for language in CAPTIONS if language != "en"])
def test_other_languages_are_dropped_and_kept_where_they_are_wanted(language):
    assert {verdict.reason for verdict in judge(CAPTIONS[language])} == {"caption_in_another_language"}
    wanted = judge(CAPTIONS[language], languages=(language,))
    assert sum(verdict.keep for verdict in wanted) >= 9  # of 10: Spanish may well be Galician


def test_the_score_is_the_probability_of_all_wanted_languages_together():
    [english], [german], [both] = (judge(["Museum Hotel Restaurant"], languages=each) for each in (("en",), ("de",), ("en", "de")))
    name = "caption_language_confidence"
    assert both.scores[name] == pytest.approx(english.scores[name] + german.scores[name])


@pytest.mark.parametrize(("bound", "keep"), [(0.5, True), (1.0, False)])
def test_the_bound_is_an_option(bound, keep):
    [verdict] = judge(["a red bicycle leaning against a brick wall"], min_confidence=bound)
    assert verdict.keep == keep and 0.5 < verdict.scores["caption_language_confidence"] < 1.0


def test_an_empty_caption_has_no_language():
    assert judge([" "])[0].scores == {}


def test_an_unknown_language_is_refused():
    with pytest.raises(RecipeError, match="'english' is none of ace, af, "):
        CaptionLanguage(languages=("english",)).check()
    with pytest.raises(RecipeError, match="at least one"):
        CaptionLanguage(languages=()).check()
    CaptionLanguage(languages=("en", "de")).check()


def test_long_texts_have_the_same_score_for_any_number_of_threads():
    code = (
        "from filters.caption_language import CaptionLanguage; from pipeline.samples import Sample; import json; "
        "captions = json.load(open('benchmarks/captions_by_language.json', encoding='utf-8')); "
        "texts = [' '.join(each) for each in captions.values()] + [' '.join(c for each in captions.values() for c in each)]; "
        "samples = [Sample(str(i), text, {'image': b''}) for i, text in enumerate(texts)]; "
        "print([[m.scores for m in CaptionLanguage(languages=(language,)).measure(samples)] for language in captions])"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": threads}, capture_output=True, check=True
        ).stdout
        for threads in ("1", "4")
    ]
    assert printed[0] == printed[1] != b""
