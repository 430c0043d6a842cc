"""Make text that somebody typed fit to be shown."""

import re

_UNPRINTABLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x9f"  # controls; what ends a line is folded before
    "\u202a-\u202e\u2066-\u2069"  # they reverse the text that follows: a name could pass for another
    "\ud800-\udfff\ufeff\ufffe\uffff"  # no characters at all
    "]"
)


def legible(text: str) -> str:
    r"""Drop what cannot be shown; every way to end a line becomes ``\n``."""
    return _UNPRINTABLE.sub("", "\n".join(text.splitlines()))


def one_line(text: str) -> str:
    """Fold every run of white space into one space."""
    return " ".join(legible(text).split())


def shortened(text: str, limit: int) -> str:
    """Cut at `limit` characters, an ellipsis included."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def capped(text: str, limit: int) -> str:
    """Keep the writer's lines; say so where the end is missing."""
    text = legible(text)
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n\n[Cut here: {len(text) - limit:,} more characters are in the handoff.]"
