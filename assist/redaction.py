"""Takes secrets out of text that leaves the process: to a model, into mails, into ticket notes.

What is found gives way to a mark that names its kind, such as `[password removed]`. What an engineer needs
stays: hosts, addresses, GUIDs, error codes, file hashes, serial numbers. docs/assessment.md says what is
covered and what is not.
"""

import re
from collections.abc import Callable

from assist.payment_numbers import hide_payment_numbers
from assist.secret_commands import hide_command_secrets, hide_one_time_codes
from assist.secret_shapes import hide_shapes
from assist.secret_words import hide_values

#: Capturing, so that splitting by it keeps the marks at the odd places.
_MARK = re.compile(
    r"(\[(?:password|secret|token|key|private key|recovery key|hash|card number|IBAN|code) removed\])"
)
#: In this order: what is known by its form first, for words beside it say less than it does.
_HIDERS: tuple[Callable[[str], str], ...] = (
    hide_shapes,
    hide_command_secrets,
    hide_one_time_codes,
    hide_values,
    hide_payment_numbers,
)
#: A mark parts the text anew, which may bring out its neighbour. Two rounds are the rule; text that was made
#: to need one for each of its words is not worth the time, and not to be trusted.
_ROUNDS = 6
_NOTHING_LEFT = "[secret removed]"


def redact(text: str) -> str:
    """Return the text with each secret replaced by a mark of its kind.

    Redacting a second time changes nothing. The time grows with the length alone, whatever the text holds:
    text that does not settle, as only text made for that does, is taken out whole.
    """
    for _ in range(_ROUNDS):
        before = text
        for hide in _HIDERS:
            text = _outside_marks(hide, text)
        if text == before:
            return text
    return _NOTHING_LEFT


def _outside_marks(hide: Callable[[str], str], text: str) -> str:
    parts = _MARK.split(text)
    parts[::2] = [hide(part) if part else part for part in parts[::2]]
    return "".join(parts)
