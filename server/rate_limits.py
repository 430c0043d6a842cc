"""How often one user, and one account, may do something; counted in Redis where several nodes share it."""

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool

log = logging.getLogger(__name__)

#: Seconds that counting may take. Redis is near, and a request must not wait for one that is gone.
_PATIENCE = 0.5


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
        self._limiter = MovingWindowRateLimiter(_storage(self._pool))
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
            *[(item, str(user_id)) for item in self._per_user[action]],
            *[(item, str(account_id)) for item in self._per_account[action]],
        ]
        return await self._hit_all(action, items)

    async def hit_address(self, action: str, address: str | None) -> float | None:
        """Count an action of somebody who is not known; answers as `hit`.

        All whose address is not known share one limit.
        """
        return await self._hit_all(action, [(item, address or "") for item in self._per_address])

    async def stop(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def _hit_all(self, action: str, items: list[tuple[RateLimitItem, str]]) -> float | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                for item, whose in items:
                    wait = await self._hit(item, action, whose)
                    if wait is not None:
                        return wait
        except Exception:
            log.warning("rate limits cannot be counted", exc_info=True)
        return None

    async def _hit(self, item: RateLimitItem, action: str, key: str) -> float | None:
        if await self._limiter.hit(item, action, key):
            return None
        stats = await self._limiter.get_window_stats(item, action, key)
        return max(0.1, stats.reset_time - time.time())


def _read(text: str) -> list[RateLimitItem]:
    items = parse_many(text)
    if not all(item.amount > 0 and item.multiples > 0 for item in items):
        raise ValueError("a limit allows nothing")
    return items


def _times(item: RateLimitItem, factor: int) -> RateLimitItem:
    return type(item)(item.amount * factor, item.multiples, item.namespace)


def _pool(url: str) -> ConnectionPool | None:
    """Make the connections to the Redis that the nodes share; None where they share none."""
    scheme, _, rest = url.partition("://")
    if scheme in ("redis", "rediss", "valkey"):
        return ConnectionPool.from_url(f"{'redis' if scheme == 'valkey' else scheme}://{rest}")
    return None


def _storage(pool: ConnectionPool | None) -> Storage:
    """Count in Redis where the nodes share one; in this process otherwise."""
    if pool is None:
        return MemoryStorage()
    # Its options are declared as plain values; this one is documented (limits 5.8).
    options: dict[str, Any] = {"connection_pool": pool}
    return RedisStorage("async+redis://", implementation="redispy", **options)
