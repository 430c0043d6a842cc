"""Where the service may send requests: never into the network that it stands in, unless allowed by name.

An admin of an account writes the address of their PSA. Without this, that address could be the service's
own database, a cloud's metadata service, or anything else that only the service can reach.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from notify.psa.faults import PsaRefused, PsaUnavailable

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Addresses that end in an IPv4 address, to which a gateway passes on what is sent. Source: RFC 6052.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LONGEST_URL = 500


class AllowedHosts:
    """Hosts that may be inside the service's own network, each named as `host` or `host:port`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.strip().lower() for name in names)

    def permit(self, host: str, port: int) -> bool:
        """Tell whether the host is allowed by name."""
        host = host.lower()
        return host in self._names or f"{host}:{port}" in self._names


def clean_base_url(url: str) -> str:
    """Return an address to which credentials may be sent, without a slash at its end.

    Raises:
        ValueError: it is none; the message says what to write.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL; write https://host or https://host/path") from None
    if parts.scheme != "https":
        raise ValueError("must begin with https://")
    if not parts.hostname or parts.username is not None or parts.password is not None or port == 0:
        raise ValueError("must be https://host or https://host/path, without a user")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError("must have neither ? nor #")
    if len(url) > _LONGEST_URL or not url.isascii() or any(c <= " " or c in '\\"<>^`{|}' for c in url):
        raise ValueError("holds characters that no address has, or too many")
    return url.rstrip("/")


async def resolve(host: str, port: int, allowed: AllowedHosts) -> list[str]:
    """Return the addresses that a host may be reached at, as numbers.

    The caller connects to one of these, not to the name: a name server that answers differently the
    second time (DNS rebinding) finds nobody who asks.

    Raises:
        PsaRefused: every address is one that requests may not go to.
        PsaUnavailable: the name is not known now.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise PsaUnavailable(f"The name {host} cannot be resolved.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if allowed.permit(host, port):
        return addresses
    public = [address for address in addresses if is_public(address)]
    if not public:
        raise PsaRefused(
            f"{host} is in a private network. The operator of this service can allow it by name."
        )
    return public


def is_public(address: str) -> bool:
    """Tell whether an address belongs to the public internet.

    Not if it is private, loopback, link-local, shared, multicast, reserved or unspecified. An IPv6 address
    that stands for an IPv4 address is judged by that. Source: the IANA special-purpose address registries.
    """
    try:
        ip: _Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.is_site_local:  # deprecated by RFC 3879, and so in no registry any more, but still inside
            return False
        ip = _translated(ip) or ip
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _translated(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a gateway, or this machine, makes of it; None for none."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
