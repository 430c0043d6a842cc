"""Tells PostgreSQL whose rows a transaction may see (manual, chapter 5.9: row security policies).

The policies of `db/migrations/versions/0003_protection.py` compare each row's account with a setting of
the transaction. It is sent with the BEGIN, so it costs no round trip of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg


@dataclass(slots=True)
class Beginning:
    """What a transaction sends with its BEGIN, in one message."""

    account_id: UUID
    first: str = ""  #: a statement without parameters whose rows nobody reads: one that locks
    is_sent: bool = False


#: That of the transaction that is about to begin in this task; None for none.
_beginning: ContextVar[Beginning | None] = ContextVar("_beginning", default=None)


@contextmanager
def as_account(account_id: UUID) -> Iterator[Beginning]:
    """Let transactions that begin in the block see the rows of this account only."""
    before = _beginning.get()
    beginning = Beginning(account_id)
    _beginning.set(beginning)
    try:
        yield beginning
    finally:
        # Not by token: a generator that holds the block open may be closed in another context.
        _beginning.set(before)


class AccountConnection(asyncpg.Connection):
    """A connection that names the account when a transaction begins."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ANN401, ASYNC109
        """Run a statement; with a BEGIN, name the account for the length of the transaction."""
        beginning = _beginning.get()
        if beginning is None or not query.startswith("BEGIN"):
            status: str = await super().execute(query, *args, timeout=timeout)
            return status
        # Not as a parameter: several statements in one message take none. A UUID prints as
        # hexadecimal digits and dashes, whatever it was made from.
        name = f"SELECT set_config('app.account_id', '{UUID(str(beginning.account_id))}', true)"
        messages = filter(None, (query.rstrip(";"), name, beginning.first))
        return await self._begin(";".join(messages), beginning)

    async def _begin(self, message: str, beginning: Beginning) -> str:
        beginning.is_sent = True
        try:
            status: str = await super().execute(message)
        except BaseException:
            # SQLAlchemy takes a transaction that failed to begin for none. This one has begun; the pool would
            # hand it on to the next.
            self.terminate()
            raise
        return status
