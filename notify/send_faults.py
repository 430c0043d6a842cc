"""Why a mail was not accepted, and whether it may be tried again.

SendFault
+-- TemporaryFault    try again later: the server, the network, or our own settings
+-- PermanentFault    never again: this recipient or this mail was refused
"""

import re
from enum import StrEnum

import aiosmtplib

from notify.mail_text import one_line, shortened

REPLY_LIMIT = 500  #: characters of a reply that are kept

# These ask for another order of commands, a login or TLS, whenever they come (RFC 4954 section 6).
_ABOUT_US = {503, 530, 534, 535, 538}
# Servers refuse an unknown client or sender with the codes of an unknown recipient, and only once a recipient
# is named; the words tell. Postfix: "Relay access denied", "Sender address rejected", "Client host rejected";
# Exchange: "not have permissions to send as this sender"; SES: "Email address is not verified"; Gmail: "Daily
# user sending limit exceeded".
_ABOUT_US_IN_WORDS = re.compile(
    r"\b(relay|sender address|client host|helo command|send as\b|not verified|sending (limit|quota))",
    re.IGNORECASE,
)
_TOO_BIG = 552  # the answer to MAIL FROM when SIZE is over the server's limit (RFC 1870 section 6.1)


class Phase(StrEnum):
    """How far a mail has come; named as what was asked of the server."""

    WRITE = "writing it down"  #: before anything is sent
    CONNECT = "connecting"  #: greeting, EHLO, STARTTLS and login
    SENDER = "naming the sender"
    RECIPIENT = "naming the recipient"
    DATA = "announcing the mail"
    CONTENT = "handing over the mail"  #: from its first byte on: the server may have all of it


class SendFault(Exception):  # noqa: N818  # a fault is what a delivery records
    """The mail was not accepted."""

    def __init__(self, code: int | None, text: str, *, in_doubt: bool = False) -> None:
        """Describe the fault.

        Args:
            code: of the server's reply; None if there was none.
            text: one line for the delivery's history; may hold addresses, never the password.
            in_doubt: the mail was being handed over when the answer failed to come: the server may have it.
        """
        self.code = code
        self.text = reply_text(text)
        super().__init__(code, self.text)
        self.in_doubt = in_doubt


class TemporaryFault(SendFault):
    """The same mail may pass later."""


class PermanentFault(SendFault):
    """The same mail would be refused again."""


def reply_text(text: str) -> str:
    """Keep of a reply what fits in one line of a delivery's history."""
    return shortened(one_line(text), REPLY_LIMIT)


def fault_of(error: Exception, phase: Phase) -> SendFault:
    """Decide whether a mail that failed may be tried again.

    A refusal is for good (5xx) only if it is about the recipient or the mail itself. What is about us, a
    login, a sender, a blocked client, stays temporary: a wrong setting must not burn mails.

    Source: RFC 5321 section 4.2.1 (4yz, 5yz) and 4.5.4.1 (retries); RFC 6531 section 3.2 (SMTPUTF8).
    """
    match error:
        case SendFault():
            return error
        case aiosmtplib.SMTPResponseException(code=code, message=text) if 400 <= code <= 599:
            kind = PermanentFault if _is_for_good(code, text, phase) else TemporaryFault
            return kind(code, text)
        case TimeoutError():
            text = f"The mail server did not answer in time (while {phase})."
        case _:
            text = getattr(error, "message", "") or str(error) or type(error).__name__
            text = f"{text} (while {phase})"
    if phase is Phase.WRITE or (phase is Phase.RECIPIENT and isinstance(error, ValueError)):
        return PermanentFault(None, text)
    return TemporaryFault(None, text, in_doubt=phase is Phase.CONTENT)


def _is_for_good(code: int, text: str, phase: Phase) -> bool:
    match phase:
        case Phase.CONNECT:
            return False
        case Phase.SENDER:
            return code == _TOO_BIG
        case _:
            return code >= 500 and code not in _ABOUT_US and not _ABOUT_US_IN_WORDS.search(text)
