"""Records what came of something that cannot be done twice, however long the database is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

log = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS = 0.2
_TRIES = 9  # doubling: 102 s together, a little less than the leases under which it is done


async def until_recorded(
    record: Callable[[], Awaitable[None]],
    delivery_id: UUID,
    *,
    unless: type[Exception] | tuple[type[Exception], ...] = (),
) -> None:
    """Record an answer; try again and again while the database is away, until the lease is about to end.

    Raises:
        Exception: that of the last try, or one of `unless`, which no other try would mend.
    """
    for n in range(_TRIES):
        try:
            return await record()
        except unless:
            raise
        except Exception:
            log.warning("answer not recorded yet", extra={"delivery_id": str(delivery_id)}, exc_info=True)
        await asyncio.sleep(_FIRST_WAIT_SECONDS * 2**n)
    return await record()
