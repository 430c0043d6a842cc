"""A finished mail: its bytes, and the two addresses that the mail server is told."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from notify.send_faults import PermanentFault

_LINE_END = re.compile(rb"\r\n|\r|\n")

#: Puts a signature before a mail's bytes.
Sign = Callable[[bytes], bytes]

SEVEN_BIT = SMTP.clone(cte_type="7bit")  #: so that 8BITMIME is never needed


@dataclass(frozen=True, slots=True)
class Envelope:
    """A mail to one recipient, as it is handed in."""

    sender: str
    recipient: str
    content: bytes
    encoding: str = "ascii"  #: of the addresses
    #: What `stuffed` makes of the content, where that is known.
    stuffed: bytes | None = field(default=None, compare=False)


def stuffed(content: bytes) -> bytes:
    """Return a mail, or lines of it, as they follow DATA: the first dots of lines are doubled.

    No line ends but with CRLF: what a server takes for an end of a line must not be the sender's choice.

    Source: RFC 5321 sections 4.1.1.4 and 4.5.2.
    """
    ends = content.count(b"\r\n")
    if not ends == content.count(b"\n") == content.count(b"\r"):
        content = _LINE_END.sub(b"\r\n", content)
    content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content


def on_the_wire(envelope: Envelope) -> bytes:
    """Return what follows DATA: whole lines, and a lone dot at the end."""
    lines = stuffed(envelope.content) if envelope.stuffed is None else envelope.stuffed
    return lines + (b".\r\n" if lines.endswith(b"\r\n") else b"\r\n.\r\n")


def sealed(message: EmailMessage) -> Envelope:
    """Write a message down.

    Raises:
        PermanentFault: it has not exactly one sender and one recipient.
    """
    if message["Cc"] or message["Bcc"]:
        raise PermanentFault(None, "A mail goes to one recipient: it cannot have Cc or Bcc.")
    sender, recipient = _only_address(message, "From"), _only_address(message, "To")
    if (sender + recipient).isascii():
        return Envelope(sender, recipient, message.as_bytes(policy=SEVEN_BIT))
    return Envelope(sender, recipient, message.as_bytes(policy=SMTPUTF8), "utf-8")


def _only_address(message: EmailMessage, name: str) -> str:
    addresses: tuple[Address, ...] = getattr(message[name], "addresses", ())
    if len(addresses) != 1:
        raise PermanentFault(None, f"A mail needs one address in {name}, not {len(addresses)}.")
    return addresses[0].addr_spec
