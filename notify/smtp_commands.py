"""The commands that come before a mail, and which answers let it go on."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from aiosmtplib.email import quote_address

from notify.envelopes import Envelope
from notify.send_faults import PermanentFault, Phase

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what is found out by it."""

    phase: Phase
    line: bytes
    go_on: Collection[int] = (250,)  #: the codes after which the next one may follow


RSET = Command(Phase.CONNECT, b"RSET\r\n")
DATA = Command(Phase.DATA, b"DATA\r\n", (354,))
#: Instead of a mail that the server awaits although it has refused the recipient (RFC 2920 section 3.1).
NO_MAIL = b".\r\n"
QUIT = b"QUIT\r\n"


def sender_named(envelope: Envelope, extensions: Collection[str]) -> Command:
    """Return MAIL, with what the server must know before it takes the mail (RFC 1870, RFC 6531).

    Args:
        envelope: The mail.
        extensions: What the server offers, in small letters.

    Raises:
        PermanentFault: an address cannot be said to this server.
        ValueError: the sender's address is none.
    """
    options = [b"SIZE=%d" % len(envelope.content)] if "size" in extensions else []
    if envelope.encoding != "ascii":
        if "smtputf8" not in extensions:
            raise PermanentFault(
                None, "The mail server takes no address with letters beyond ASCII (SMTPUTF8)."
            )
        options += [b"BODY=8BITMIME", b"SMTPUTF8"]
    line = b" ".join([b"MAIL FROM:" + _said(envelope.sender, envelope.encoding), *options])
    return Command(Phase.SENDER, line + b"\r\n")


def recipient_named(envelope: Envelope) -> Command:
    """Return RCPT.

    Raises:
        ValueError: the recipient's address is none.
    """
    line = b"RCPT TO:" + _said(envelope.recipient, envelope.encoding)
    return Command(Phase.RECIPIENT, line + b"\r\n", (250, 251))


@lru_cache(maxsize=4096)
def _said(address: str, encoding: str) -> bytes:
    """Return an address as commands have it: nothing in it can end the command or add to it."""
    said = quote_address(address).encode(encoding)
    if _CONTROL.search(said):
        raise ValueError("the address holds a control character")
    return said
