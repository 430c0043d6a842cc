"""Writes mails as bytes, most of which are the same for all recipients and made once.

A form is made of a message that was written the plain way (`notify/messages.py`). Filling it in makes what
differs: To, Date, Message-ID, List-Unsubscribe, and those lines of the two bodies in which the recipient's
links and reason stand. The bodies are quoted-printable, which begins anew at each end of a line (RFC 2045
section 6.7), so that lines may be encoded apart and put together. The result is the plain way's to the byte.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import lru_cache
from itertools import groupby

from notify.envelopes import SEVEN_BIT, Envelope, sealed, stuffed
from notify.escalation_mails import EscalationMail
from notify.mail_headers import address, mailbox_line, quoted_printable
from notify.messages import (
    MARK,
    filled,
    message_id,
    of_all,
    own_pieces,
    render,
    unsubscribe_header,
    words_of_all,
)

#: Forms that are kept, a few ten kilobytes each: of so many kinds of mails about handoffs.
KEPT = 64

_OWN_HEADERS = {"To", "Date", "Message-ID", "List-Unsubscribe"}
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NOBODY = "nobody@example.org"
#: Payloads that no other part of a message can hold: quoted-printable never yields "=_".
_PLAIN, _HTML = "=_plain", "=_html"


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of a body that each recipient's own words are put into."""

    words: str
    is_html: bool


@dataclass(frozen=True, slots=True)
class _Same:
    """What is the same for all: whole lines, or what ends the line before and begins another."""

    content: bytes
    stuffed: bytes


#: What is the same for all, the name of a header that differs, or lines that differ.
_Piece = _Same | str | _Lines


@dataclass(frozen=True, slots=True)
class _Form:
    pieces: Sequence[_Piece]
    sender: str
    domain: str  #: of the Message-IDs

    def fill(
        self, headers: Mapping[str, bytes], text: Mapping[str, str], page: Mapping[str, str]
    ) -> tuple[bytes, bytes]:
        """Return the mail, and the same as `envelopes.stuffed` makes it."""
        content, on_wire = [], []
        for piece in self.pieces:
            if isinstance(piece, _Same):
                content.append(piece.content)
                on_wire.append(piece.stuffed)
                continue
            if isinstance(piece, str):
                own = headers[piece]
            else:
                own = _encoded(filled(piece.words, page if piece.is_html else text))
            content.append(own)
            on_wire.append(stuffed(own))
        return b"".join(content), b"".join(on_wire)


def write(mail: EscalationMail, *, sender: str, now: datetime, redact: Callable[[str], str]) -> Envelope:
    """Write a mail down; the bytes are those of `messages.render`.

    Raises:
        UnusableAddress: the recipient's or the sender's address cannot be written to.
    """
    form = make_form(of_all(mail), sender, redact)
    if form is None or not mail.recipient_email.isascii():  # the addresses are UTF-8 there
        return sealed(render(mail, sender=sender, now=now, redact=redact))
    recipient, to = _to(mail.recipient_name, mail.recipient_email)
    headers = {
        "To": to,
        "Date": _line("Date", format_datetime(now)),
        "Message-ID": _line("Message-ID", message_id(mail, form.domain)),
        "List-Unsubscribe": _line("List-Unsubscribe", unsubscribe_header(mail)),
    }
    content, on_wire = form.fill(headers, *own_pieces(mail))
    return Envelope(form.sender, recipient, content, stuffed=on_wire)


@lru_cache(maxsize=KEPT)
def make_form(shared: EscalationMail, sender: str, redact: Callable[[str], str]) -> _Form | None:
    """Make the form of what all recipients read; None where the sender's address is not in ASCII."""
    to_nobody = replace(shared, recipient_email=_NOBODY)
    message = render(to_nobody, sender=sender, now=shared.created_at, redact=redact)
    envelope = sealed(message)
    if envelope.encoding != "ascii":
        return None
    text, page = words_of_all(shared, redact)
    before, between, after = _frame(message)
    parts = [*_head(message), before, *_body(text, False), between, *_body(page, True), after]
    pieces = [_Same(part, stuffed(part)) if isinstance(part, bytes) else part for part in parts]
    return _Form(pieces, envelope.sender, envelope.sender.rpartition("@")[2])


def _head(message: EmailMessage) -> Iterator[bytes | str]:
    for name, value in message.raw_items():
        yield name if name in _OWN_HEADERS else SEVEN_BIT.fold_binary(name, value)


def _frame(message: EmailMessage) -> list[bytes]:
    """Return what stands before, between and after the two bodies."""
    for part, token in zip(message.iter_parts(), (_PLAIN, _HTML), strict=True):
        part.set_payload(token)
    _, _, rest = message.as_bytes(policy=SEVEN_BIT).partition(b"\r\n\r\n")
    before, _, rest = (b"\r\n" + rest).partition(_PLAIN.encode())
    between, _, after = rest.partition(_HTML.encode())
    return [before, between, after]


def _body(words: str, is_html: bool) -> Iterator[bytes | _Lines]:
    """Encode the lines that are the same for all; leave the others as they are."""
    for differs, lines in groupby(_LINE.findall(words), key=lambda line: MARK in line):
        together = "".join(lines)
        yield _Lines(together, is_html) if differs else _encoded(together)


def _encoded(words: str) -> bytes:
    return quoted_printable(words).replace(b"\n", b"\r\n")


@lru_cache(maxsize=4096)
def _to(name: str, email: str) -> tuple[str, bytes]:
    to = address(name, email)
    return to.addr_spec, mailbox_line("To", to, "\r\n", is_utf8=False).encode("ascii")


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("ascii")
