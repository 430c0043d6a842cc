"""Checks of what callers send, each with a sentence that says what to correct."""

import re
import unicodedata
from datetime import UTC, datetime

from resolvers.errors import BadInput

MAX_SUMMARY = 500
MAX_LABEL = 200  #: also domains, states and other short names
MAX_REASON = 2_000
MAX_NOTES = 20_000
MAX_MESSAGE = 100_000
MAX_MESSAGES = 500
MAX_BRANCHES = 200  #: of a session; each handoff's snapshot holds them all
MAX_STEPS = 1_000_000
MAX_EMAIL = 254  #: RFC 3696 erratum 1690
#: What turns the text that follows round, up to its end: a name or a line could pass for another, on a page,
#: in a mail or a ticket. It is taken out, not refused: it comes unseen, with what somebody copied, and means
#: nothing by itself. Source: Unicode Standard Annex 9, section 2.
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
#: Categories of Unicode of which nothing is seen: white space, format characters, controls.
_UNSEEN = {"Zs", "Zl", "Zp", "Cf", "Cc"}
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  #: before, no clock was set
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")


def clean_text(field: str, value: str, longest: int) -> str:
    """Return the text without surrounding white space, and without what turns text round.

    Raises:
        BadInput: nothing of it can be seen, it is too long, or holds what the database cannot store.
    """
    text = _clean(field, value, longest)
    if is_blank(text):
        raise BadInput(f"{field} must not be empty.")
    return text


def clean_optional_text(field: str, value: str | None, longest: int) -> str | None:
    """Return the text as `clean_text` does, None for none or what cannot be seen.

    Raises:
        BadInput: it is too long, or holds what the database cannot store.
    """
    text = _clean(field, value or "", longest)
    return None if is_blank(text) else text


def is_blank(text: str) -> bool:
    """Tell whether nothing of a text can be seen."""
    return all(unicodedata.category(character) in _UNSEEN for character in text)


def clean_email(value: str) -> str:
    """Return an address in lower case.

    Raises:
        BadInput: it cannot be an address. What turns text round is not taken out: it would be another one.
    """
    if _OVERRIDES.search(value):
        raise BadInput("email must be an address like bo@example.com.")
    email = clean_text("email", value, MAX_EMAIL).lower()
    if not _EMAIL.fullmatch(email):
        raise BadInput("email must be an address like bo@example.com.")
    return email


def clean_steps(value: int | None) -> int:
    """Return a step count.

    Raises:
        BadInput: it is no count.
    """
    if value is None or not 0 <= value <= MAX_STEPS:
        raise BadInput(f"stepCount must be between 0 and {MAX_STEPS}.")
    return value


def clean_instant(field: str, value: datetime) -> datetime:
    """Return an instant in UTC.

    Raises:
        BadInput: it has no time zone, or lies outside the time that can be stored.
    """
    if value.tzinfo is None:
        raise BadInput(f"{field} needs a time zone, like 2026-01-31T09:30:00Z.")
    try:
        return value.astimezone(UTC)
    except OverflowError:  # on the first day of year 1 or the last of 9999
        raise BadInput(f"{field} lies before all time that can be stored.") from None


def clean_past(field: str, value: datetime, *, now: datetime) -> datetime:
    """Return an instant in UTC that has been.

    Raises:
        BadInput: as `clean_instant`, or it lies in the future, or before 1970.
    """
    if value.tzinfo is not None and value > now:
        raise BadInput(f"{field} lies in the future.")
    at = clean_instant(field, value)
    if at < _EARLIEST:
        raise BadInput(f"{field} lies before 1970.")
    return at


def _clean(field: str, value: str, longest: int) -> str:
    text = (value if value.isascii() else _OVERRIDES.sub("", value)).strip()
    if len(text) > longest:
        raise BadInput(f"{field} has {len(text)} characters; at most {longest} are kept.")
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadInput(f"{field} holds a character that is not text (NUL or half a surrogate pair).")
    return text
