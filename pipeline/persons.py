"""Words for persons: whether a phrase is about one, by its last word."""

import string
from collections.abc import Collection

PERSON = (
    *("person", "human", "man", "woman", "boy", "girl", "child", "kid", "baby", "infant", "toddler", "teenager", "adult", "lady"),
    *("gentleman", "guy", "mother", "father", "daughter", "son", "sister", "brother", "wife", "husband", "bride", "groom", "policeman"),
    *("policewoman", "officer", "soldier", "firefighter", "chef", "waiter", "waitress", "nurse", "doctor", "worker", "cowboy", "surfer"),
    *("skier", "snowboarder", "skateboarder", "skater", "rider", "runner", "cyclist", "climber", "swimmer", "athlete", "player", "dancer"),
    *("singer", "actor", "actress", "tourist", "pedestrian", "student"),
)
PERSONS = ("persons", "people", "men", "women", "boys", "girls", "children", "kids", "guys", "ladies")  # of which a box may hold one


def is_person(phrase: str, person_words: Collection[str]) -> bool:
    """Whether a phrase ends in a word for a person: "a young man" does, "the man's hat" does not.

    Args:
        person_words: In any case.
    """
    words = phrase.split()
    return bool(words) and plain(words[-1]) in {plain(word) for word in person_words}


def plain(words: str) -> str:
    """Without case, and without what is no letter around it."""
    return words.strip(string.whitespace + string.punctuation).casefold()
