"""What two pieces of text have in common, by their telling words."""

import re
from functools import lru_cache

_WORD = re.compile(r"[A-Za-z0-9][\w$./\\-]*[A-Za-z0-9$]|[A-Za-z0-9]+")
_PARTS = re.compile(r"[./\\-]")
_COMMON_WORDS = """
    about after again all already also and any are back because been before both but came can cannot
    could did does done every fail fails failed first fixed for found from get gives going good had has
    have here into its just last like look looked looks made make more most need never new not now off
    one only our out over problem reason cause same see set shows side since some still such sure test
    tested than that thats the their them then there they thing this those time today tried try until
    use used user users via was were what when where which while who why will with without work works
    working would yes yesterday you your says said issue error errors client server run ran check
    checked one two three
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_STEM = 5  #: letters by which two forms of a word are one
_ENDINGS = ("ing", "ed", "es", "s", "e", "d")


@lru_cache(maxsize=4096)
def topics_of(text: str) -> frozenset[str]:
    """Return the stems of the words that say what a text is about."""
    words = [word.lower() for word in _WORD.findall(text[:2000])]
    words += [part for word in words for part in _PARTS.split(word) if part != word]
    return frozenset(_stem(word) for word in words if len(word) > 2 and word not in _COMMON)


def overlap(one: str, other: str) -> float:
    """Return how much of the shorter text's topics the other has: 0 to 1."""
    first, second = topics_of(one), topics_of(other)
    return len(first & second) / min(len(first), len(second)) if first and second else 0.0


def likeness(one: str, other: str) -> float:
    """Return how alike two texts are: the share of all their topics that both have."""
    first, second = topics_of(one), topics_of(other)
    return len(first & second) / len(first | second) if first or second else 0.0


def shares_topic(one: str, other: str) -> bool:
    """Tell whether both speak of one thing."""
    return not topics_of(one).isdisjoint(topics_of(other))


def _stem(word: str) -> str:
    if any(character.isdigit() for character in word):
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) > 2:
            word = word.removesuffix(ending)
            break
    return word[:_STEM]
