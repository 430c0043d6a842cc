"""Tells PostgreSQL whose rows a transaction may see (manual, chapter 5.9: row security policies).

The policies of `db/migrations/versions/0003_protection.py` compare each row's account with a setting of
the transaction. It is sent with the BEGIN, so it costs no round trip of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg


@dataclass(slots=True)
class Beginning:
    """What a transaction sends with its BEGIN, in one message."""

    account_id: UUID
    #: Statements without parameters whose rows nobody reads: those that lock.
    first: list[str] = field(default_factory=list)
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
        return await self._begin(";".join([query.rstrip(";"), name, *beginning.first]), beginning)

    async def _begin(self, message: str, beginning: Beginning) -> str:
        beginning.is_sent = True
        try:
            status: str = await super().execute(message)
        except BaseException:
            # Whoever waited for the lock was cancelled, or the server gave up. SQLAlchemy takes a transaction
            # that failed to begin for none, and asyncpg goes on to count it: the pool would hand on a
            # connection on which no other can begin (SQLAlchemy 2.1.9, asyncpg 0.32).
            self.terminate()
            raise
        return status
