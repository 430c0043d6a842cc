"""Who may open a socket, or a stream of events, and how many of each user are open on this node."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from cross_web import HTTPException

from resolvers.errors import RateLimited, TokenUnchecked, Unauthenticated
from schema.context import Context
from schema.errors import RETRY_SECONDS, is_unavailable
from server.auth import bearer
from server.http_rules import BoundedRequest, refusal_of_fault

_WAIT_SECONDS = 60  #: for who holds too many


class Admissions:
    """What users hold open on this node: each so many sockets and streams together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[UUID] = Counter()

    async def admit_socket(self, context: Context) -> None:
        """Let a socket begin with the token of its `connection_init`.

        Raises:
            Unauthenticated, RateLimited: as `admit`.
        """
        context.token = _token_of(context.connection_params)
        context.connection_params = None  # else the token is held twice
        context.on_close = await self.admit(context)

    async def admit_stream(self, request: BoundedRequest, context: Context) -> None:
        """Let a stream of events begin under the rules of a socket.

        Raises:
            HTTPException: 401 without a valid token, 429 where its user opens or holds too many, 503 without
                a database or a key to check the token with.
        """
        try:
            request.on_end = await self.admit(context)
        except TokenUnchecked as refusal:
            request.retry_after = RETRY_SECONDS
            raise HTTPException(503, refusal.message) from None
        except Unauthenticated as refusal:
            raise HTTPException(401, refusal.message) from None
        except RateLimited as refusal:
            request.retry_after = refusal.retry_after_seconds
            raise HTTPException(429, refusal.message) from None
        except Exception as fault:
            if not is_unavailable(fault):
                raise
            context.services.feed.outage.notice(fault)
            raise refusal_of_fault(request, fault) from None

    async def admit(self, context: Context) -> Callable[[], None]:
        """Count what the caller opens; return what is to be called at its end.

        Raises:
            Unauthenticated: as `Context.look_again`.
            RateLimited: they open too many, or hold as many as they may.
        """
        await context.count("connect")
        user_id = context.known_user_id
        if self._open[user_id] >= self._most:
            raise RateLimited(_WAIT_SECONDS)
        self._open[user_id] += 1

        def let_go() -> None:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]

        return let_go


def _token_of(params: dict[str, Any] | None) -> str | None:
    for name, value in (params or {}).items():
        if name.lower() == "authorization":
            return bearer(value)
    return None
