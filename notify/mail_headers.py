"""Make a mail's headers from whatever somebody typed.

Python 3.11.7 folds headers wrongly: it writes line ends that it decoded from an encoded word (CVE-2024-6923),
drops the quotes of a long name, so that a part of it becomes a recipient, loses and adds blanks, and cuts a
long id in References. Hence `header_text`, and header classes that fold themselves.
"""

import binascii
import re
from email.header import Header
from email.headerregistry import (
    Address,
    BaseHeader,
    HeaderRegistry,
    UniqueSingleAddressHeader,
    UniqueUnstructuredHeader,
    UnstructuredHeader,
)
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import quote
from functools import lru_cache

from notify.mail_text import one_line, shortened

_LOCAL_PART = re.compile(r"""[^\s()<>\[\]\\,;:@".]+(\.[^\s()<>\[\]\\,;:@".]+)*""")
_SEVERAL = re.compile(r"[<>]|@[^,]*,")  #: before the last address of a list
_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.IGNORECASE)


class _Unfolded(UnstructuredHeader, BaseHeader):
    """A short value of our own: an id or a keyword."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


class _Subject(UniqueUnstructuredHeader, BaseHeader):  # type: ignore[misc]  # typeshed: max_count
    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {_encoded(str(self), self.name, policy.linesep)}{policy.linesep}"


class _Mailbox(UniqueSingleAddressHeader, BaseHeader):  # type: ignore[misc]  # typeshed: init, max_count
    def fold(self, *, policy: Policy) -> str:
        return mailbox_line(self.name, self.address, policy.linesep, is_utf8=getattr(policy, "utf8", False))


def mailbox_line(header_name: str, of: Address, linesep: str, *, is_utf8: bool) -> str:
    """Write down a header with one mailbox."""
    local, domain, name = of.username, of.domain, of.display_name
    if not is_utf8:
        local = _encoded(local, "", linesep)
    if not name:
        return f"{header_name}: {local}@{domain}{linesep}"
    phrase = f'"{quote(name)}"' if name.isascii() and len(name) < 60 else None
    phrase = phrase or _encoded(name, header_name, linesep, charset="utf-8")
    return f"{header_name}: {phrase}{linesep} <{local}@{domain}>{linesep}"


@lru_cache(maxsize=4096)
def _encoded(text: str, name: str, linesep: str, charset: str | None = None) -> str:
    return Header(text, charset, header_name=name).encode(linesep=linesep)


_REGISTRY = HeaderRegistry(default_class=_Unfolded)
_REGISTRY.map_to_type("subject", _Subject)
_REGISTRY.map_to_type("from", _Mailbox)
_REGISTRY.map_to_type("to", _Mailbox)


class UnusableAddress(ValueError):  # noqa: N818  # reads as what is the case
    """No mail can be written to or from this address."""


def header_text(text: str) -> str:
    """Fold to one line in which nothing reads as an encoded word."""
    return one_line(text).replace("=?", "= ?")


@lru_cache(maxsize=4096)
def header(name: str, value: str) -> BaseHeader:
    """Parse a header once: parsing is most of the cost of a mail."""
    return _REGISTRY(name, value)


@lru_cache(maxsize=4096)
def mailbox(name: str, display_name: str, email: str) -> BaseHeader:
    """Make a From or To header.

    Raises:
        UnusableAddress: the address cannot take mail.
    """
    return _REGISTRY(name, address(display_name, email))


def address(display_name: str, email: str) -> Address:
    """Check an address and put its domain into ASCII; the part before the @ may hold any letters (RFC 6531).

    Raises:
        UnusableAddress: it is no address of RFC 5321, or one with a quoted local part or an IP literal.
    """
    local, _, domain = email.rpartition("@")
    domain = _ascii_domain(domain)
    if header_text(email) != email or not _LOCAL_PART.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise UnusableAddress("This is not an email address that mail can be sent to.")
    if len(local.encode()) > 64 or len(domain) > 253:
        raise UnusableAddress("The email address is too long.")
    return Address(shortened(header_text(display_name), 100), local, domain)


def sender_address(sender: str) -> Address:
    """Read ``Name <address>`` or a bare address.

    Raises:
        UnusableAddress: there is no usable address in it, or more than one.
    """
    if not sender.endswith(">"):
        return address("", sender.strip())
    name, bracket, email = sender[:-1].rpartition("<")
    if _SEVERAL.search(name):
        raise UnusableAddress("This is more than one address.")
    return address(name.strip().strip('"'), email.strip() if bracket else "")


def body_part(subtype: str, content: str) -> EmailMessage:
    """Quoted-printable: it passes servers without 8BITMIME, and the text stays readable in the raw mail."""
    part = EmailMessage(policy=SMTP)
    part["Content-Type"] = header("Content-Type", f'text/{subtype}; charset="utf-8"')
    part["Content-Transfer-Encoding"] = header("Content-Transfer-Encoding", "quoted-printable")
    part.set_payload(quoted_printable(content).decode("ascii"))
    return part


def quoted_printable(content: str) -> bytes:
    """Encode a body. What it makes of a line does not depend on the lines before and after."""
    return binascii.b2a_qp(content.encode(), istext=True)


def _ascii_domain(domain: str) -> str:
    try:
        return domain[:254].encode("idna").decode("ascii")
    except UnicodeError:
        return ""
