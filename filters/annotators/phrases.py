"""Phrases of a caption, as spans of its own characters: its words, the candidates between its function words, the place of a label.

    A young woman's T-shirt and two dogs, in the rain.
      [--- ------- -------]         [--]         [--]      candidates

Source: RAKE, Rose et al. 2010, "Automatic keyword extraction from individual documents": candidates are what stands between stop words and
punctuation. Its list of stop words is replaced by a shorter one, of words that name no thing in captions.
"""

import itertools
import unicodedata

Span = tuple[int, int]  # of characters, half open

MAX_WORDS = 8  # of a candidate; more in a row without any function word are a list of tags, no phrase

_DETERMINERS = (
    "a an the this that these those some any each every either neither both all no another such my your his her its our their whose several"
    " many much few more most one two three four five six seven eight nine ten"
)
_PRONOUNS = (
    "i me you he him she it we us they them myself himself herself itself themselves who whom which what something someone anything anyone"
    " nothing everything everyone hers theirs there here it's he's she's they're there's that's who's"
)
_PREPOSITIONS = (
    "of in on at by with without within to into onto from for over under above below behind beside besides between among amongst against"
    " across along around about near upon through throughout towards toward inside outside beneath underneath beyond during after before"
    " atop amid amidst via per as like off up down out next"
)
_CONJUNCTIONS = "and or but nor so yet while if because than then when where whereas although though whether"
FUNCTION_WORDS = frozenset(f"{_DETERMINERS} {_PRONOUNS} {_PREPOSITIONS} {_CONJUNCTIONS}".split())

_AUXILIARIES = (
    "am is are was were be been being has have had having do does did can could may might will would shall should must cannot isn't aren't"
    " wasn't weren't doesn't don't can't not"
)
_ADVERBS = "also very too just only even still perhaps possibly probably maybe quite rather almost nearly really together apart away"
_VERBS = (  # those that stand between two things in captions most often; verbs as such cannot be told from nouns without a parser
    "standing stands sitting sits seated lying lies laying holding holds wearing wears riding rides walking walks running runs looking"
    " looks showing shows shown featuring features containing contains including includes filled covered surrounded placed made using"
    " eating playing flying parked hanging leaning posing resting smiling carrying driving swimming appears appearing seems seen visible"
)
STOP_WORDS = FUNCTION_WORDS | frozenset(f"{_AUXILIARIES} {_ADVERBS} {_VERBS}".split())

_JOINERS = frozenset("-'\u2019\u2010\u2011\u00ad\u200c\u200d")  # inside a word: T-shirt, woman's
_SINGLE_SIGNS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))  # kana and Han: no spaces


def words(text: str) -> list[Span]:
    """The words of a text: letters, digits and what is joined to them; signs of scripts without spaces one by one."""
    spans: list[Span] = []
    start = -1
    for place, char in enumerate(text):
        is_mark = unicodedata.category(char)[0] == "M"
        if is_mark and start < 0 and spans and spans[-1][1] == place:
            spans[-1] = (spans[-1][0], place + 1)
        elif char.isalnum() and _is_single(char):
            if start >= 0:
                spans.append((start, place))
            spans.append((place, place + 1))
            start = -1
        elif char.isalnum() or is_mark:
            start = place if start < 0 else start
        elif start >= 0 and not (char in _JOINERS and _goes_on(text[place + 1 : place + 2])):
            spans.append((start, place))
            start = -1
    return [*spans, (start, len(text))] if start >= 0 else spans


def candidates(caption: str, max_phrases: int) -> list[Span]:
    """The first `max_phrases` candidates, in order; of those that differ in capitals alone the first."""
    found: dict[str, Span] = {}
    run: list[Span] = []
    for word in [*words(caption), (len(caption), len(caption))]:
        is_stop = word[0] == word[1] or plain(caption[slice(*word)]) in STOP_WORDS
        if run and (is_stop or not are_next(caption, run[-1], word)):
            while len(run) > 1 and caption[slice(*run[0])].isdecimal():
                run.pop(0)  # 5 apples
            span = (run[0][0], without_possessive(caption, run[-1])[1])
            phrase = caption[slice(*span)]
            if len(run) <= MAX_WORDS and any(char.isalpha() for char in phrase):
                found.setdefault(phrase.casefold(), span)
            run = []
        if not is_stop:
            run.append(word)
    return list(found.values())[:max_phrases]


def find_label(label: str, caption: str) -> Span | None:
    """Where a label stands in a caption for the first time, in whole words and whatever the capitals."""
    wanted = [plain(label[slice(*word)]) for word in words(label)]
    places = words(caption)
    if not wanted:
        return None
    for first in range(len(places) - len(wanted) + 1):
        run = places[first : first + len(wanted)]
        said = [plain(caption[slice(*word)]) for word in run]
        last = without_possessive(caption, run[-1])
        ends_alike = wanted[-1] in (said[-1], plain(caption[slice(*last)]))
        is_whole = all(are_next(caption, left, right) for left, right in itertools.pairwise(run))
        if is_whole and said[:-1] == wanted[:-1] and ends_alike:
            return run[0][0], run[-1][1] if said[-1] == wanted[-1] else last[1]
    return None


def plain(word: str) -> str:
    """A word as it is compared."""
    return word.replace("\u2019", "'").casefold()


def are_next(text: str, left: Span, right: Span) -> bool:
    """Whether nothing but space within a line stands between two words."""
    between = text[left[1] : right[0]]
    return not between.strip() and "\n" not in between


def without_possessive(text: str, word: Span) -> Span:
    """A word without its 's: of "the dog's" the dog is what can be shown."""
    is_possessive = word[1] - word[0] > 2 and plain(text[word[1] - 2 : word[1]]) == "'s"
    return (word[0], word[1] - 2) if is_possessive else word


def _goes_on(char: str) -> bool:
    return char.isalnum() and not _is_single(char)


def _is_single(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _SINGLE_SIGNS)
