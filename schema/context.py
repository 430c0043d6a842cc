"""What every operation is given: one context for an HTTP request, or for a socket and all that runs on it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

import strawberry

from db import system
from db.session import Database
from db.users import UserRow
from notify.feed import Feed
from notify.presence import Presence
from notify.receipts import Receipts
from resolvers.errors import Unauthenticated
from schema.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a valid token names. What they may do is asked of the database, each time."""

    user_id: UUID
    expires_at: datetime


class ReadToken(Protocol):
    """Reads a token."""

    def __call__(self, token: str | None) -> Identity:
        """Return whom the token names.

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
    read_token: ReadToken
    push_grace: timedelta  #: how long a push may stay unconfirmed before the mail goes
    recheck_seconds: float = 2.0  #: how often a running subscription asks whether its viewer may go on
    now: Callable[[], datetime] = utc_now


class Context:
    """What one request or one socket may use."""

    def __init__(self, services: Services, *, token: str | None, is_socket: bool) -> None:
        self.services = services
        self.token = token
        #: Set by Strawberry from `connection_init`, before the first operation of a socket.
        self.connection_params: dict[str, Any] | None = None
        self._is_socket = is_socket
        self._viewer: UserRow | None = None
        self._account_id: UUID | None = None

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.services.now()

    def identity(self) -> Identity:
        """Return whom the caller's token names.

        Raises:
            Unauthenticated: no valid token came with the request or the socket.
        """
        return self.services.read_token(self.token)

    async def viewer(self) -> UserRow:
        """Return the caller as the database knows them now.

        A request asks once. A socket lives long and asks for each operation, so that a changed role or a
        deactivation counts at once.

        Raises:
            Unauthenticated: the token is not valid, or its user may not sign in any more.
        """
        if self._viewer is None or self._is_socket:
            self._viewer = await self._read_viewer()
            self._account_id = self._viewer.account_id
        return self._viewer

    @property
    def account_id(self) -> UUID:
        """The account of the caller; known once `viewer` was asked, as every root field's permission does."""
        if self._account_id is None:
            raise Unauthenticated
        return self._account_id

    @cached_property
    def loaders(self) -> "Loaders":
        """The batched reads of this context's account. They keep nothing: a socket's would grow stale."""
        return Loaders(self.services.database, self.account_id, self.services.now)

    async def _read_viewer(self) -> UserRow:
        user_id = self.identity().user_id
        async with self.services.database.system_reading() as tx:
            user = await system.find_user(tx, user_id)
        if user is None or not user.may_sign_in:
            raise Unauthenticated("This user cannot sign in any more. Ask an admin of the account.")
        return user


Info = strawberry.Info[Context, None]
