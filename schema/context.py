"""What every operation is given: one context for an HTTP request, or for a socket and all that runs on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import strawberry

from db.session import Database, Transaction
from db.users import UserRow
from notify.feed import Feed
from notify.presence import Presence
from notify.psa.gateway import Gateway
from notify.receipts import Receipts
from resolvers.errors import RateLimited, Unauthenticated
from resolvers.identity import Caller
from resolvers.refusals import RefusalLog
from schema.loaders import Loaders

if TYPE_CHECKING:
    from schema.completions import Completions
    from schema.selections import Selections
    from schema.streams import Streams


#: How many reads that may take seconds a node lets go on at once.
_LONG_READS = 2


class RateLimits(Protocol):
    """Counts how often somebody does something."""

    async def hit(self, action: str, account_id: UUID, user_id: UUID) -> float | None:
        """Count an action; return None where it is allowed, else the seconds until it is again."""

    async def hit_address(self, action: str, address: str | None) -> float | None:
        """Count an action of somebody who is not known, by their network address; answers as `hit`."""


class Identify(Protocol):
    """Finds out whose token it is."""

    async def __call__(self, token: str | None) -> Caller:
        """Return whom the token names, as the database has them now.

        Raises:
            Unauthenticated: there is none, or it is not valid, or no longer.
        """


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the process has one of."""

    database: Database
    feed: Feed
    presence: Presence
    receipts: Receipts
    identify: Identify
    rate_limits: RateLimits
    refusals: RefusalLog
    streams: "Streams | None" = None  #: shares the execution of events; None: each subscriber executes them
    completions: "Completions | None" = None  #: completes plain fields; None: graphql-core does
    selections: "Selections | None" = None  #: completes pages of the queue from rows; None: from objects
    has_plans: bool = False  #: whether documents that were read before are executed at once
    psa: Gateway | None = None  #: None: there is no key to encrypt credentials with
    documents: Mapping[str, str] | None = None  #: the only ones that are answered, by hash; None for any
    push_grace: timedelta  #: how long a push may stay unconfirmed before the mail goes
    assessment_wait: timedelta | None = None  #: how long mails wait for an assessment; None: none is made
    recheck_seconds: float = 2.0  #: how often a running subscription asks whether its viewer may go on
    long_reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LONG_READS))
    now: Callable[[], datetime] = utc_now


class Context:
    """What one request or one socket may use."""

    def __init__(
        self, services: Services, *, token: str | None, is_socket: bool, address: str | None = None
    ) -> None:
        self.services = services
        self.token = token
        self.address = address  #: the client's, as the server saw it
        #: Set by Strawberry from `connection_init`, before the first operation of a socket.
        self.connection_params: dict[str, Any] | None = None
        #: Called when the socket ends; None for a request, and for a socket that was not accepted.
        self.on_close: Callable[[], None] | None = None
        self._is_socket = is_socket
        self._caller: Caller | None = None

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.services.now()

    async def caller(self) -> Caller:
        """Return who asks, as the database knows them now.

        A request asks once. A socket lives long and asks for each operation, so that a changed role or a
        deactivation counts at once.

        Raises:
            Unauthenticated: as `look_again`.
        """
        if self._caller is None or self._is_socket:
            return await self.look_again()
        return self._caller

    async def look_again(self) -> Caller:
        """Return who asks, read anew: for what runs long over whatever transport.

        Raises:
            Unauthenticated: no valid token came with the request or the socket, its user may not sign in
                any more, or was moved to another account than what runs here belongs to.
        """
        caller = await self.services.identify(self.token)
        if self._caller is not None and self._caller.user.account_id != caller.user.account_id:
            raise Unauthenticated("You were moved to another account. Connect again.")
        self._caller = caller
        return caller

    async def viewer(self) -> UserRow:
        """Return the user who asks.

        Raises:
            Unauthenticated: as `look_again`.
        """
        return (await self.caller()).user

    @property
    def known_viewer(self) -> UserRow | None:
        """The user who asks where that is known already, None where nobody was identified (yet)."""
        return None if self._caller is None else self._caller.user

    @property
    def known_user_id(self) -> UUID:
        """The id of the user who asks; known as `account_id` is."""
        return self.known_caller.user.id

    async def count(self, action: str) -> None:
        """Count something that the caller does.

        Raises:
            Unauthenticated: as `look_again`.
            RateLimited: they, or their account, did it too often.
        """
        viewer = await self.viewer()
        wait = await self.services.rate_limits.hit(action, viewer.account_id, viewer.id)
        if wait is not None:
            raise RateLimited(wait)

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Open what only reads the caller's account."""
        return self.services.database.reading(self.account_id)

    @asynccontextmanager
    async def long_reading(self) -> AsyncIterator[Transaction]:
        """Open what only reads, and may take seconds: after those who came before.

        A few at a time, whoever asks: a year of statistics must not keep the queue waiting for a connection.
        """
        async with self.services.long_reads, self.reading() as tx:
            yield tx

    @property
    def account_id(self) -> UUID:
        """The account of the caller; known once `viewer` was asked, as every root field's permission does."""
        return self.known_caller.user.account_id

    @property
    def expires_at(self) -> datetime | None:
        """When the caller's token ends, None for never; known as `account_id` is."""
        return self.known_caller.expires_at

    @cached_property
    def loaders(self) -> "Loaders":
        """The batched reads of this context's account. They keep nothing: a socket's would grow stale."""
        return Loaders(self.services.database, self.account_id, self.services.now)

    @property
    def known_caller(self) -> Caller:
        """Who asks; known as `account_id` is."""
        if self._caller is None:
            raise Unauthenticated
        return self._caller


Info = strawberry.Info[Context, None]
