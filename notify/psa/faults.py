"""Why a note is not in its ticket, and what may be done about it.

PsaFault
+-- PsaUnavailable    try again later; nothing was changed
|   +-- PsaAmbiguous  it may have been carried out: look for the note before another try
+-- PsaRefused        never again as it is: somebody has to change a setting, a right or the ticket
    +-- TicketRefused of this ticket alone: the connection is none the worse
    +-- NoteVisible   the note is in the ticket, and not known to be hidden from the customer
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from notify.mail_text import one_line, shortened

TEXT_LIMIT = 500  #: characters of a fault that are kept

#: Nothing was done, and the same request may pass later: timed out before it was read, a record in use
#: (ConnectWise answers 409 while somebody edits the ticket), too early, too many.
_PASSING = {408, 409, 425, 429}
_LONGEST_RETRY_AFTER_SECONDS = 6 * 3600.0


class PsaFault(Exception):  # noqa: N818  # a fault is what a delivery records
    """The PSA did not do what it was asked."""

    def __init__(self, text: str, *, code: int | None = None, retry_after: float | None = None) -> None:
        """Describe the fault.

        Args:
            text: for the delivery's history and for admins; never holds a credential.
            code: of the HTTP answer; None if there was none.
            retry_after: seconds that the PSA asks to be left alone for, all notes of its connection included.
        """
        self.text = shortened(one_line(text), TEXT_LIMIT)
        super().__init__(self.text)
        self.code = code
        self.retry_after = retry_after


class PsaUnavailable(PsaFault):
    """Try again later."""


class PsaAmbiguous(PsaUnavailable):
    """It may have been carried out."""


class PsaRefused(PsaFault):
    """Refused for good."""


class TicketRefused(PsaRefused):
    """There is no such ticket, or no note can be put into it."""


class NoteVisible(PsaRefused):
    """A customer may be able to read the note."""


def unconfirmed(fault: PsaFault, what: str) -> PsaFault:
    """Return what it means that a note was made and cannot be read: it is there, and may be visible."""
    if isinstance(fault, PsaUnavailable):
        return PsaAmbiguous(fault.text, code=fault.code, retry_after=fault.retry_after)
    return NoteVisible(
        f"{what} was made, but cannot be read back to see that it is internal: {fault.text}", code=fault.code
    )


def fault_of(status: int, text: str, *, retry_after: str | None, changes: bool, now: datetime) -> PsaFault:
    """Decide what an answer that is no success means.

    Args:
        status: the HTTP status.
        text: what the PSA said.
        retry_after: its header, None for none. Source: RFC 9110 section 10.2.3.
        changes: whether the request was to change something.
        now: the present instant.
    """
    said = f"The PSA answered {status}" + (f": {text}" if text else ".")
    wait = read_retry_after(retry_after, now=now)
    if status in _PASSING:
        return PsaUnavailable(said, code=status, retry_after=wait)
    if status >= 500:
        kind = PsaAmbiguous if changes else PsaUnavailable
        return kind(said, code=status, retry_after=wait)
    return PsaRefused(said, code=status)


def read_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header, at most six hours; None for none that can be read."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
    else:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)
