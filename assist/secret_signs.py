"""Tells which words a text has at all: most have few of those that secrets come with, and are read sooner."""

from collections.abc import Iterator


def folded(text: str) -> str:
    """Return the text in small letters, each character for itself, as `re.IGNORECASE` takes them for equal.

    It takes the Turkish letters for an i, and the long s for an s.
    """
    return text.replace("\u0130", "i").lower().replace("\u0131", "i").replace("\u017f", "s")


def has_any(text: str, signs: str) -> bool:
    """Tell whether a folded text has one of the signs, which are parted by blanks."""
    return any(sign in text for sign in signs.split())


def around_each(text: str, signs: str, reach: int) -> Iterator[tuple[int, int]]:
    """Return the parts of a folded text within `reach` of where a sign begins, in their order and apart."""
    places = sorted(place for sign in signs.split() for place in _places(text, sign))
    start = end = 0
    for place in places:
        if place - reach > end:
            yield start, end
            start = place - reach
        end = place + reach
    yield start, end


def _places(text: str, sign: str) -> Iterator[int]:
    place = text.find(sign)
    while place >= 0:
        yield place
        place = text.find(sign, place + 1)
