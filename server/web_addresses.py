"""Addresses of the web in settings: read once, at the start, and then as they are compared or written.

A function raises ValueError with what is wrong, and without the value, which may hold a password.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_USUAL_PORTS = {"http": 80, "https": 443}
_LABEL = "[a-z0-9]([a-z0-9_-]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.IGNORECASE)  #: of the DNS


def public_address(value: str) -> str:
    """Return the address that links begin with, without a slash at its end."""
    if not value:
        return value
    parts = _parts(value)
    if parts is None or parts.scheme not in _USUAL_PORTS:
        raise ValueError("must begin with http:// or https://, and name a host")
    if parts.username is not None or set("?#") & set(value):
        raise ValueError("must be like https://handoff.example.com or https://example.com/handoff")
    return value.rstrip("/")


def origin(value: str) -> str:
    """Return an origin as browsers send it (RFC 6454, section 6.1): in small letters, without the usual port.

    "*" stands for all of them.
    """
    if value == "*":
        return value
    parts = _parts(value)
    if parts is None or parts.path.strip("/") or parts.username is not None or set("?#") & set(value):
        raise ValueError("each must be an origin, like https://app.example.com, without a path")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    is_usual = parts.port in (None, _USUAL_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" if is_usual else f"{parts.scheme}://{host}:{parts.port}"


def allowed_host(value: str) -> str:
    """Return a host as it is compared: a name or a number, and maybe a port."""
    clean = value.strip().lower()
    if _is_number(clean):
        return clean
    host, colon, port = clean.rpartition(":") if ":" in clean else (clean, "", "")
    if not (_NAME.fullmatch(host) or _is_number(host)) or (colon and not _is_port(port)):
        raise ValueError(
            "each must be a host or a host and its port, like halo.example.internal or 10.1.2.3:8443, "
            "and no URL, network or pattern"
        )
    return clean


def keys_address(value: str) -> str:
    """Return where an identity provider's keys are: a URL that nobody on the way can change, or a file."""
    if not value.startswith(("https://", "http://")):
        return value
    parts = _parts(value)
    if parts is None:
        raise ValueError("must be the URL of a JWKS document, or name a file")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("must begin with https:// (http:// is for this machine alone), or name a file")
    return value


def selector(value: str) -> str:
    """Return the name under which a key is looked for in the DNS (RFC 6376, section 3.1)."""
    if not _NAME.fullmatch(value) or len(value) > 63:
        raise ValueError("must be a name of the DNS: letters, digits and hyphens, like handoff or mail-2")
    return value


def is_everywhere(host: str) -> bool:
    """Tell whether a host to listen on stands for all addresses of the machine, and so for none to go to."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host.strip()


def _parts(value: str) -> SplitResult | None:
    """Take a URL apart; None where it is none, or names no host that could be reached."""
    try:
        parts = urlsplit(value)
        is_port = parts.port != 0
    except ValueError:
        return None
    has_host = bool(parts.scheme and parts.hostname)
    return parts if has_host and is_port and value.isascii() and not re.search(r"[\s\\]", value) else None


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return bool(re.fullmatch("[1-9][0-9]{0,4}", text)) and int(text) < 1 << 16
