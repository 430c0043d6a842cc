"""How often one user, and one account, may do something; counted in Redis where several nodes share it."""

import ipaddress
import logging
from collections.abc import Sequence
from uuid import UUID

from limits import RateLimitItem, parse_many
from redis.asyncio import ConnectionPool

from server.windows import Key, MemoryWindows, RedisWindows

log = logging.getLogger(__name__)


class RateLimits:
    """Counts. A counter that cannot be reached limits nobody: the service goes on."""

    def __init__(self, url: str, limits: dict[str, str], *, account_factor: int, strangers: str) -> None:
        """Read the limits.

        Args:
            url: `memory://`, or the Redis that the nodes share.
            limits: What one user may do, by action, each like `50/second;600/minute`.
            account_factor: How many times as much all users of an account may do together.
            strangers: What may come from one network address whose user is not known, of each action.

        Raises:
            ValueError: a limit cannot be read, or allows nothing.
        """
        self._pool = _pool(url)
        self._windows = MemoryWindows() if self._pool is None else RedisWindows(self._pool)
        self._per_user = {action: _read(text) for action, text in limits.items()}
        self._per_account = {
            action: [_times(item, account_factor) for item in items]
            for action, items in self._per_user.items()
        }
        self._per_address = _read(strangers)

    async def hit(self, action: str, account_id: UUID, user_id: UUID) -> float | None:
        """Count an action; return None where it is allowed, else the seconds until it is again.

        What is refused counts no further: one user who never stops asking must not use up what belongs to
        the account.
        """
        items = [
            *[(item, user_id) for item in self._per_user[action]],
            *[(item, account_id) for item in self._per_account[action]],
        ]
        return await self._hit_all(action, items)

    async def hit_address(self, action: str, address: str | None) -> float | None:
        """Count an action of somebody who is not known; answers as `hit`.

        All whose address is not known share one limit, as do all addresses of one network of IPv6.
        """
        whose = _network_of(address or "")
        return await self._hit_all(action, [(item, whose) for item in self._per_address])

    async def stop(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def _hit_all(self, action: str, items: Sequence[tuple[RateLimitItem, Key]]) -> float | None:
        try:
            for item, key in items:
                wait = await self._windows.hit(item, action, key)
                if wait is not None:
                    return wait
        except Exception:
            log.warning("rate limits cannot be counted", exc_info=True)
        return None


def _read(text: str) -> list[RateLimitItem]:
    items = parse_many(text)
    if not all(item.amount > 0 and item.multiples > 0 for item in items):
        raise ValueError("a limit allows nothing")
    return items


def _network_of(address: str) -> str:
    """Return the network of an address of IPv6, in which one host may take any address; any other as it is.

    Source: RFC 4291, section 2.5.4: the first 64 bits name the network.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))


def _times(item: RateLimitItem, factor: int) -> RateLimitItem:
    return type(item)(item.amount * factor, item.multiples, item.namespace)


def _pool(url: str) -> ConnectionPool | None:
    """Make the connections to the Redis that the nodes share; None where they share none."""
    scheme, _, rest = url.partition("://")
    if scheme in ("redis", "rediss", "valkey"):
        return ConnectionPool.from_url(f"{'redis' if scheme == 'valkey' else scheme}://{rest}")
    return None
