"""Where mails are handed in: a mail server's address, read from a URL."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

Tls = Literal["implicit", "starttls", "off"]

DEFAULT_TIMEOUT_SECONDS = 30.0
LONGEST_TIMEOUT_SECONDS = 600.0  #: RFC 5321 section 4.5.3.2.6 lets no server take longer for one step

_SCHEMES: dict[str, tuple[Tls, int]] = {
    "smtp": ("starttls", 587),
    "smtps": ("implicit", 465),
    "smtp+plain": ("off", 25),
}
_HOST = re.compile(r"[^\s\x00-\x1f\x7f/@]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """A mail server and how to talk to it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = "starttls"  #: starttls is required, not tried; off sends mails and passwords in the clear
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS  #: for one mail, connecting included
    ca_file: Path | None = None  #: certificates trusted besides the system's

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read ``smtp://user:password@host:587?timeout=30&ca=/path``.

        The scheme is `smtp` (STARTTLS required), `smtps` (TLS from the first byte) or `smtp+plain` (no TLS).

        Raises:
            ValueError: with a sentence that holds nothing of the URL: any part may be a piece of a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(f"The mail server's URL cannot be read. {_PERCENT_HINT}") from None
        if parts.scheme not in _SCHEMES:
            raise ValueError("The mail server's URL must begin with smtp://, smtps:// or smtp+plain://.")
        tls, usual_port = _SCHEMES[parts.scheme]
        timeout, ca_file = _options(parts)
        if ca_file and tls == "off":
            raise ValueError("The mail server's URL names a CA file, but smtp+plain:// uses no TLS.")
        username, password = _credentials(parts)
        return cls(
            host=_host(parts),
            port=usual_port if port is None else port,
            username=username,
            password=password,
            tls=tls,
            timeout_seconds=timeout,
            ca_file=ca_file,
        )


_PERCENT_HINT = "In a user or password, write / ? # @ : and % percent-encoded."


def _host(parts: SplitResult) -> str:
    if parts.path.strip("/") or parts.fragment or parts.port == 0:
        raise ValueError(f"The mail server's URL must be scheme://user:password@host:port. {_PERCENT_HINT}")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError(f"The mail server's URL names no host. {_PERCENT_HINT}")
    return str(parts.hostname)


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    if not parts.username and not parts.password:
        return None, None
    if not parts.username or not parts.password:
        raise ValueError("The mail server's URL must name both a user and a password, or neither.")
    return unquote(parts.username), unquote(parts.password)


def _options(parts: SplitResult) -> tuple[float, Path | None]:
    options = parse_qs(parts.query, keep_blank_values=True)
    if not options.keys() <= {"timeout", "ca"}:
        raise ValueError(f"The mail server's URL may have the options timeout and ca. {_PERCENT_HINT}")
    ca_file = Path(options["ca"][-1]) if "ca" in options else None
    if ca_file and not ca_file.is_file():
        raise ValueError("The mail server's CA file (ca) does not exist.")
    return _timeout(options.get("timeout", [str(DEFAULT_TIMEOUT_SECONDS)])[-1]), ca_file


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_TIMEOUT_SECONDS:
        raise ValueError(
            f"The mail server's timeout must be a number of seconds up to {LONGEST_TIMEOUT_SECONDS:.0f}."
        )
    return seconds
