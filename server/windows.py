"""Moving windows: how often each key was counted in the last so many seconds."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool

#: Seconds that counting may take. Redis is near, and a request must not wait for one that is gone.
_PATIENCE = 0.5
#: How many keys that were not counted lately one count may drop: more than it can add.
_SWEPT = 2
#: Who or what is counted: a user, an account, a network address.
Key = UUID | str


class Windows(ABC):
    """Counts against limits."""

    @abstractmethod
    async def hit(self, item: RateLimitItem, action: str, key: Key) -> float | None:
        """Count; return None where it is allowed, else the seconds until it is again, and count nothing."""


class RedisWindows(Windows):
    """Windows that the nodes share."""

    def __init__(self, pool: ConnectionPool) -> None:
        # Its options are declared as plain values; this one is documented (limits 5.8).
        options: dict[str, Any] = {"connection_pool": pool}
        storage = RedisStorage("async+redis://", implementation="redispy", **options)
        self._limiter = MovingWindowRateLimiter(storage)

    async def hit(self, item: RateLimitItem, action: str, key: Key) -> float | None:
        """Count in Redis.

        Raises:
            Exception: it cannot be reached, or not in time.
        """
        async with asyncio.timeout(_PATIENCE):
            if await self._limiter.hit(item, action, str(key)):
                return None
            stats = await self._limiter.get_window_stats(item, action, str(key))
        return max(0.1, stats.reset_time - time.time())


class MemoryWindows(Windows):
    """Windows of this process.

    The ones of `limits` (5.8.0) look through all keys after each count, in a thread for each key: more work
    than the mutations that they counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: When each key was counted, by limit and action. Those counted longest ago stand first.
        self._counted: dict[tuple[RateLimitItem, str], dict[Key, deque[float]]] = {}

    async def hit(self, item: RateLimitItem, action: str, key: Key) -> float | None:
        """Count in memory."""
        now, seconds = self._clock(), item.get_expiry()
        keys = self._counted.setdefault((item, action), {})
        counted = keys[key] = keys.pop(key) if key in keys else deque()
        _forget(counted, until=now - seconds)
        _sweep(keys, until=now - seconds)
        if len(counted) >= item.amount:
            return max(0.1, counted[0] + seconds - now)
        counted.append(now)
        return None

    def __len__(self) -> int:
        """Return how many keys are held."""
        return sum(map(len, self._counted.values()))


def _forget(counted: deque[float], *, until: float) -> None:
    while counted and counted[0] <= until:
        counted.popleft()


def _sweep(keys: dict[Key, deque[float]], *, until: float) -> None:
    for _ in range(_SWEPT):
        key, counted = next(iter(keys.items()))
        if not counted or counted[-1] > until:
            return  # being counted, or counted lately
        del keys[key]
